//! Setting a second step up, taking it, and giving it up.

use contract::event::SecondStepChanged;
use contract::id::UserId;
use jiff::SignedDuration;
use redis::RedisError;
use runtime::watched::Watched;

use super::sealing::{KeyRing, SealError};
use super::totp::Secret;
use super::{Pending, SecondStep, recovery};
use crate::accounts::Account;
use crate::events::Events;
use crate::lockout::{Attempt, Lockout};
use crate::store::UserStore;

/// A secret that was shown has to be confirmed within this time.
const CONFIRM_WITHIN: SignedDuration = SignedDuration::from_mins(15);

/// Second steps of accounts.
#[derive(Clone, Debug)]
pub struct SecondSteps {
    /// Where accounts are kept.
    pub users: UserStore,
    /// Encrypts secrets.
    pub keys: Watched<KeyRing>,
    /// Slows guessing down.
    pub lockout: Lockout,
    /// Where events wait.
    pub events: Events,
    /// What the app shows the platform as.
    pub platform: String,
}

/// What is shown once, for an app to take.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret.
    pub secret: Secret,
    /// The same, as a QR code holds it.
    pub uri: String,
}

/// A second step that is asked for from now on.
#[derive(Debug)]
pub struct Confirmed {
    /// Shown once.
    pub recovery_codes: Vec<String>,
}

/// Why a second step was not set up, taken or given up.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// There is one already.
    #[error("the account has a second step")]
    AlreadyEnabled,
    /// There is none.
    #[error("the account has no second step")]
    NotEnabled,
    /// No secret was shown lately.
    #[error("no secret waits for its first code")]
    NothingToConfirm,
    /// The code is wrong, or has been used.
    #[error("the code is wrong or was used before")]
    WrongCode,
    /// Too many wrong codes.
    #[error("locked for {} s", .0.as_secs())]
    Locked(std::time::Duration),
    /// Codes cannot be counted, so none is looked at.
    #[error("redis: {0}")]
    NotCounted(#[from] RedisError),
    /// The kept secret cannot be read.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database.
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

impl SecondSteps {
    /// Makes a secret for `account` and shows it. Nothing is asked for before it has been confirmed.
    pub async fn begin(&self, account: &Account) -> Result<Enrolment, StepError> {
        if account.second_step.is_some() {
            return Err(StepError::AlreadyEnabled);
        }
        let secret = Secret::generate(&mut rand::rng());
        let sealed = self.keys.get().seal(account.id, secret.bytes(), &mut rand::rng())?;
        let pending = Pending { secret: sealed, shown_at: self.events.now() };
        if !self.users.begin_second_step(account.id, &pending).await? {
            return Err(StepError::AlreadyEnabled);
        }
        let uri = secret.uri(&self.platform, &account.username.to_string());
        Ok(Enrolment { secret, uri })
    }

    /// Asks for a second step from now on, once `code` shows that the app has the secret.
    pub async fn confirm(&self, account: &Account, code: &str) -> Result<Confirmed, StepError> {
        if account.second_step.is_some() {
            return Err(StepError::AlreadyEnabled);
        }
        let now = self.events.now();
        let pending = account.pending_second_step.as_ref();
        let pending = pending.filter(|pending| now < pending.shown_at + CONFIRM_WITHIN);
        let pending = pending.ok_or(StepError::NothingToConfirm)?;
        self.counted(account.id).await?;
        let secret = self.open(account.id, &pending.secret)?;
        let step = secret.step_of(code, now, i64::MIN).ok_or(StepError::WrongCode)?;
        self.forget(account.id).await;
        let codes = recovery::generate(&mut rand::rng());
        let second_step = SecondStep {
            secret: pending.secret.clone(),
            last_step: step,
            recovery: recovery::digests(account.id, &codes),
            since: now,
        };
        let told = self.events.envelope(SecondStepChanged { user_id: account.id, enabled: true });
        if !self.users.confirm_second_step(account.id, pending, &second_step, &told).await? {
            return Err(StepError::NothingToConfirm);
        }
        self.events.wake(account.id);
        Ok(Confirmed { recovery_codes: codes })
    }

    /// Takes the second step with a code of the app. Of several requests with one code exactly one succeeds.
    pub async fn take_code(&self, account: &Account, code: &str) -> Result<(), StepError> {
        let second_step = account.second_step.as_ref().ok_or(StepError::NotEnabled)?;
        self.counted(account.id).await?;
        let secret = self.open(account.id, &second_step.secret)?;
        let now = self.events.now();
        let step = secret.step_of(code, now, second_step.last_step).ok_or(StepError::WrongCode)?;
        if !self.users.use_step(account.id, step).await? {
            return Err(StepError::WrongCode);
        }
        self.forget(account.id).await;
        if !self.keys.get().is_current(&second_step.secret) {
            let resealed = self.keys.get().seal(account.id, secret.bytes(), &mut rand::rng())?;
            self.users.reseal_second_step(account.id, &second_step.secret, &resealed).await?;
        }
        Ok(())
    }

    /// Takes the second step with a recovery code, which is gone then.
    pub async fn take_recovery_code(&self, account: &Account, code: &str) -> Result<(), StepError> {
        account.second_step.as_ref().ok_or(StepError::NotEnabled)?;
        self.counted(account.id).await?;
        if !self.users.use_recovery_code(account.id, recovery::digest(account.id, code)).await? {
            return Err(StepError::WrongCode);
        }
        self.forget(account.id).await;
        Ok(())
    }

    /// New recovery codes in the place of all old ones.
    pub async fn renew_recovery_codes(&self, account: &Account) -> Result<Vec<String>, StepError> {
        let codes = recovery::generate(&mut rand::rng());
        let digests = recovery::digests(account.id, &codes);
        if self.users.renew_recovery_codes(account.id, &digests).await? {
            Ok(codes)
        } else {
            Err(StepError::NotEnabled)
        }
    }

    /// Asks for no second step any more.
    pub async fn disable(&self, user: UserId) -> Result<(), StepError> {
        let told = self.events.envelope(SecondStepChanged { user_id: user, enabled: false });
        if !self.users.disable_second_step(user, &told).await? {
            return Err(StepError::NotEnabled);
        }
        self.events.wake(user);
        Ok(())
    }

    /// Whoever gets here knows the password, so wrong codes are counted for the account as a whole: six digits are few.
    async fn counted(&self, user: UserId) -> Result<(), StepError> {
        match self.lockout.attempt(&counter(user), "").await? {
            Attempt::Allowed => Ok(()),
            Attempt::Locked(wait) => Err(StepError::Locked(wait)),
        }
    }

    async fn forget(&self, user: UserId) {
        if let Err(error) = self.lockout.succeeded(&counter(user), "").await {
            tracing::warn!(%error, "attempts at a second step could not be forgotten");
        }
    }

    fn open(&self, user: UserId, sealed: &super::sealing::Sealed) -> Result<Secret, StepError> {
        let bytes = self.keys.get().open(user, sealed)?;
        Ok(Secret::from_bytes(&bytes).ok_or(SealError::Damaged)?)
    }
}

fn counter(user: UserId) -> String {
    format!("second-step:{user}")
}
