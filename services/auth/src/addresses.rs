//! E-mail addresses: showing that mail arrives, and moving to another address.

use contract::event::{EmailChanged, EmailVerificationRequested, Envelope};
use contract::id::UserId;
use jiff::{SignedDuration, Timestamp};

use crate::accounts::{Account, DisplayName, Email, UniqueName};
use crate::events::Events;
use crate::one_time::{Issued, Purpose, Token};
use crate::settings::Settings;
use crate::store::users::WriteUserError;
use crate::store::{OneTimeStore, Store, UserStore};

/// How long somebody may log in before mail to their address has been shown to arrive.
pub const VERIFY_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Addresses of accounts.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Where accounts are kept.
    pub users: UserStore,
    /// Where tokens are kept.
    pub tokens: OneTimeStore,
    /// Where events wait.
    pub events: Events,
    /// Whether the platform sends mail. Where it does not, nobody is asked to show that it arrives.
    pub mail: bool,
}

/// Why an address was not changed or verified.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The token is none, has been used, is too old, or is for an address that was changed meanwhile.
    #[error("the token is not good, or no longer")]
    BadToken,
    /// Another account has the address.
    #[error("taken by another account: {0:?}")]
    Taken(Vec<UniqueName>),
    /// There is no such account any more.
    #[error("no such account")]
    Gone,
    /// The database.
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// What became of the wish for another address.
#[derive(Debug)]
pub enum Change {
    /// The new address has to be shown to receive mail first.
    Asked,
    /// It is the address now.
    Done,
}

impl Addresses {
    /// Addresses of the accounts in `store`.
    #[must_use]
    pub fn new(settings: &Settings, store: &Store, events: Events) -> Self {
        Self { users: store.users.clone(), tokens: store.one_time.clone(), events, mail: settings.email.enabled }
    }

    /// Until when an account made at `now` has to show that mail arrives.
    #[must_use]
    pub fn verify_by(&self, now: Timestamp) -> Option<Timestamp> {
        self.mail.then(|| now + VERIFY_WITHIN)
    }

    /// The event that sends a new account its first letter; `None` where no mail is sent.
    pub async fn welcome(
        &self,
        user: UserId,
        email: &Email,
        display_name: &DisplayName,
    ) -> Result<Option<Envelope>, mongodb::error::Error> {
        if !self.mail {
            return Ok(None);
        }
        let asked = Asked { user, email, display_name, epoch: 0 };
        self.letter(asked, Purpose::VerifyEmail).await
    }

    /// Sends another letter to an address that has not been verified, unless several are under way.
    pub async fn ask_again(&self, account: &Account) -> Result<(), mongodb::error::Error> {
        if !self.mail || account.email_verified_at.is_some() {
            return Ok(());
        }
        self.send(account, &account.email, Purpose::VerifyEmail).await
    }

    /// Takes the wish of `account` for the address `new`.
    pub async fn ask_change(&self, account: &Account, new: &Email) -> Result<Change, AddressError> {
        let holder = self.users.by_email(&new.key()).await?;
        if holder.is_some_and(|holder| holder.id != account.id) {
            return Err(AddressError::Taken(vec![UniqueName::Email]));
        }
        if self.mail {
            self.send(account, new, Purpose::ChangeEmail).await?;
            return Ok(Change::Asked);
        }
        self.change(account, new).await?;
        Ok(Change::Done)
    }

    /// Uses up a token that was sent to an address: that receives mail, and is the account's address from now on if it
    /// was not.
    pub async fn verify(&self, token: &Token) -> Result<(), AddressError> {
        let now = self.events.now();
        if let Some(issued) = self.tokens.take(token, Purpose::VerifyEmail, now).await? {
            let email = issued.email.ok_or(AddressError::BadToken)?;
            let verified = self.users.verify_email(issued.user, &email, now).await?;
            return if verified { Ok(()) } else { Err(AddressError::BadToken) };
        }
        // Read first: an address that somebody else has meanwhile may become free again.
        let issued = self.tokens.get(token, Purpose::ChangeEmail, now).await?.ok_or(AddressError::BadToken)?;
        let account = self.users.get(issued.user).await?.filter(|account| account.epoch == issued.epoch);
        let account = account.ok_or(AddressError::BadToken)?;
        let email = issued.email.ok_or(AddressError::BadToken)?;
        self.change(&account, &email).await
    }

    async fn change(&self, account: &Account, new: &Email) -> Result<(), AddressError> {
        let told = self.events.envelope(EmailChanged {
            user_id: account.id,
            display_name: account.display_name.to_string(),
            email: new.to_string(),
            previous_email: account.email.to_string(),
        });
        let now = self.events.now();
        let changed = self.users.change_email(account.id, &account.email, new, self.mail, &told, now).await;
        match changed {
            Ok(true) => {}
            Ok(false) => return Err(AddressError::BadToken),
            Err(WriteUserError::Taken(names)) => return Err(AddressError::Taken(names)),
            Err(WriteUserError::Database(error)) => return Err(error.into()),
        }
        self.events.wake(account.id);
        // What was sent to the old address proves nothing any more.
        self.tokens.forget(account.id).await?;
        Ok(())
    }

    async fn send(&self, account: &Account, email: &Email, purpose: Purpose) -> Result<(), mongodb::error::Error> {
        let asked = Asked { user: account.id, email, display_name: &account.display_name, epoch: account.epoch };
        if let Some(letter) = self.letter(asked, purpose).await? {
            self.users.tell(account.id, &letter).await?;
            self.events.wake(account.id);
        }
        Ok(())
    }

    /// A new token, and the event that carries it; `None` if there are enough of them.
    async fn letter(&self, asked: Asked<'_>, purpose: Purpose) -> Result<Option<Envelope>, mongodb::error::Error> {
        let now = self.events.now();
        let token = Token::generate(&mut rand::rng());
        let issued = Issued {
            purpose,
            user: asked.user,
            email: Some(asked.email.clone()),
            epoch: asked.epoch,
            created_at: now,
            expires_at: now + purpose.lifetime(),
        };
        if !self.tokens.add(&token, &issued).await? {
            return Ok(None);
        }
        Ok(Some(self.events.envelope(EmailVerificationRequested {
            user_id: asked.user,
            display_name: asked.display_name.to_string(),
            email: asked.email.to_string(),
            token: token.mailed(),
            expires_at: issued.expires_at,
        })))
    }
}

/// Who is asked to show that mail arrives, and where.
struct Asked<'a> {
    user: UserId,
    email: &'a Email,
    display_name: &'a DisplayName,
    epoch: i64,
}
