//! Making an account.

use contract::claims::Role;
use contract::event::UserRegistered;
use contract::id::UserId;

use crate::accounts::{Account, DisplayName, Email, KeyDigest, UniqueName, Username};
use crate::addresses::Addresses;
use crate::events::Events;
use crate::password::{Hasher, HasherError, Password};
use crate::store::UserStore;
use crate::store::users::WriteUserError;

/// What a person gives to have an account.
#[derive(Clone, Debug)]
pub struct Registration {
    /// E-mail address.
    pub email: Email,
    /// User name.
    pub username: Username,
    /// Name shown to others.
    pub display_name: DisplayName,
    /// Password.
    pub password: Password,
    /// By what the request is known if it comes again.
    pub key: Option<KeyDigest>,
}

/// Why there is no new account.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// Another account has these names.
    #[error("taken by another account: {0:?}")]
    Taken(Vec<UniqueName>),
    /// The password could not be hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The database.
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

impl Registration {
    /// Whether the account was made by this very request, as far as can be told without its password.
    #[must_use]
    pub fn made(&self, account: &Account) -> bool {
        self.key.is_some()
            && self.key == account.registered_by
            && self.username.key() == account.username.key()
            && self.display_name == account.display_name
    }
}

/// Makes accounts.
#[derive(Clone, Debug)]
pub struct Registrar {
    /// Where they are kept.
    pub users: UserStore,
    /// Keeps their passwords.
    pub hasher: Hasher,
    /// Asks new accounts to show that mail arrives.
    pub addresses: Addresses,
    /// Where events wait.
    pub events: Events,
}

impl Registrar {
    /// Makes the account, and `user.registered` with it, and a first letter where the platform sends mail.
    pub async fn register(&self, registration: Registration) -> Result<Account, RegistrationError> {
        let Registration { email, username, display_name, password, key } = registration;
        // Asked before the costly part. Who decides is the database, when the account is written.
        let taken = self.users.taken(&email.key(), &username.key()).await?;
        if !taken.is_empty() {
            return Err(RegistrationError::Taken(taken));
        }
        let password = self.hasher.hash(password).await?;
        let now = self.events.now();
        let id = UserId::new(now, &mut rand::rng());
        let account = Account {
            id,
            email,
            username,
            display_name,
            avatar: None,
            email_verified_at: None,
            verify_by: self.addresses.verify_by(now),
            password,
            second_step: None,
            pending_second_step: None,
            epoch: 0,
            disabled_at: None,
            roles: vec![Role::User],
            registered_by: key,
            created_at: now,
            updated_at: now,
        };
        let registered = UserRegistered {
            user_id: id,
            username: account.username.to_string(),
            email: account.email.to_string(),
            display_name: account.display_name.to_string(),
        };
        let mut told = vec![self.events.envelope(registered)];
        told.extend(self.addresses.welcome(id, &account.email, &account.display_name).await?);
        match self.users.insert(&account, told).await {
            Ok(()) => {
                self.events.wake(id);
                Ok(account)
            }
            Err(WriteUserError::Taken(names)) => Err(RegistrationError::Taken(names)),
            Err(WriteUserError::Database(error)) => Err(error.into()),
        }
    }
}
