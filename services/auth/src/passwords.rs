//! Changing a password, and getting back in without one.

use contract::event::{PasswordChanged, PasswordResetRequested};
use jiff::Timestamp;

use crate::accounts::{Account, NameKey};
use crate::events::Events;
use crate::one_time::{Issued, Purpose, Token};
use crate::password::{Hasher, HasherError, Password, PasswordFault};
use crate::sessions::{EndReason, Session, Sessions};
use crate::store::{OneTimeStore, UserStore};

/// Passwords of accounts.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Where accounts are kept.
    pub users: UserStore,
    /// Where tokens are kept.
    pub tokens: OneTimeStore,
    /// Hashes.
    pub hasher: Hasher,
    /// Ended with the password.
    pub sessions: Sessions,
    /// Where events wait.
    pub events: Events,
    /// Whether the platform sends mail.
    pub mail: bool,
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The token is none, has been used, or is too old.
    #[error("the token is not good, or no longer")]
    BadToken,
    /// The new password may not be chosen.
    #[error("the new password {0}")]
    Fault(#[from] PasswordFault),
    /// It was changed by another request at the same moment.
    #[error("the password was changed at the same moment")]
    Contended,
    /// Nothing was hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The database.
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

impl Passwords {
    /// Sends a letter with a token to the address `email`, if it is an account's. Whether it is, nobody is told.
    pub async fn forgotten(&self, email: &NameKey) -> Result<(), mongodb::error::Error> {
        let account = self.users.by_email(email).await?.filter(|account| account.disabled_at.is_none());
        let Some(account) = account.filter(|_| self.mail) else { return Ok(()) };
        let now = self.events.now();
        let token = Token::generate(&mut rand::rng());
        let expires_at = now + Purpose::ResetPassword.lifetime();
        let issued = Issued {
            purpose: Purpose::ResetPassword,
            user: account.id,
            email: Some(account.email.clone()),
            epoch: account.epoch,
            created_at: now,
            expires_at,
        };
        if !self.tokens.add(&token, &issued).await? {
            return Ok(());
        }
        let told = self.events.envelope(PasswordResetRequested {
            user_id: account.id,
            display_name: account.display_name.to_string(),
            email: account.email.to_string(),
            token: token.mailed(),
            expires_at,
        });
        self.users.tell(account.id, &told).await?;
        self.events.wake(account.id);
        Ok(())
    }

    /// Keeps `new` as the password of the account that `token` was sent to or made with, and ends all its sessions. A second
    /// step stays: who reads somebody's mail does not have their phone.
    pub async fn reset(&self, token: &Token, new: &str) -> Result<(), PasswordError> {
        let now = self.events.now();
        // Read first: a password that may not be chosen uses nothing up.
        let issued = match self.tokens.get(token, Purpose::ResetPassword, now).await? {
            Some(issued) => issued,
            None => self.tokens.get(token, Purpose::Invitation, now).await?.ok_or(PasswordError::BadToken)?,
        };
        let account = self.owner(&issued).await?;
        let password = chosen(&account, new)?;
        let hash = self.hasher.hash(password).await?;
        self.tokens.take(token, issued.purpose, now).await?.ok_or(PasswordError::BadToken)?;
        self.replace(&account, &hash, now).await?;
        if let Some(email) = &issued.email {
            self.users.verify_email(account.id, email, now).await?;
        }
        self.sessions.end_all(account.id, EndReason::PasswordChanged).await?;
        self.tokens.forget(account.id).await?;
        Ok(())
    }

    /// Keeps `new` as the password of `account`, whose owner has just shown to know the old one, and ends all sessions
    /// but `current`.
    pub async fn change(&self, account: &Account, current: &Session, new: &str) -> Result<(), PasswordError> {
        let hash = self.hasher.hash(chosen(account, new)?).await?;
        self.replace(account, &hash, self.events.now()).await?;
        self.sessions.end_others(current, account.epoch + 1, EndReason::PasswordChanged).await?;
        self.tokens.forget(account.id).await?;
        Ok(())
    }

    async fn owner(&self, issued: &Issued) -> Result<Account, PasswordError> {
        let account = self.users.get(issued.user).await?;
        let account = account.filter(|account| account.epoch == issued.epoch && account.disabled_at.is_none());
        account.ok_or(PasswordError::BadToken)
    }

    async fn replace(
        &self,
        account: &Account,
        hash: &crate::password::PasswordHash,
        now: Timestamp,
    ) -> Result<(), PasswordError> {
        let told = self.events.envelope(PasswordChanged { user_id: account.id });
        if !self.users.change_password(account.id, account.epoch, hash, &told, now).await? {
            return Err(PasswordError::Contended);
        }
        self.events.wake(account.id);
        Ok(())
    }
}

fn chosen(account: &Account, new: &str) -> Result<Password, PasswordFault> {
    let names = [account.email.to_string(), account.username.to_string(), account.display_name.to_string()];
    Password::chosen(new, &names.each_ref().map(String::as_str))
}
