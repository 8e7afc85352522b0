//! Making an account.

use contract::claims::Role;
use contract::event::{Envelope, UserRegistered};
use contract::id::UserId;
use runtime::clock::Clock;
use runtime::outbox::Waker;
use runtime::trace;

use crate::SERVICE;
use crate::accounts::{Account, DisplayName, Email, UniqueName, Username};
use crate::password::{Hasher, HasherError, Password};
use crate::store::UserStore;
use crate::store::users::WriteUserError;

/// What a person gives to have an account.
#[derive(Debug)]
pub struct Registration {
    /// E-mail address.
    pub email: Email,
    /// User name.
    pub username: Username,
    /// Name shown to others.
    pub display_name: DisplayName,
    /// Password.
    pub password: Password,
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

/// Makes accounts.
#[derive(Clone, Debug)]
pub struct Registrar {
    /// Where they are kept.
    pub users: UserStore,
    /// Keeps their passwords.
    pub hasher: Hasher,
    /// Told that an event waits in the outbox.
    pub events: Waker,
    /// The time.
    pub clock: Clock,
}

impl Registrar {
    /// Makes the account, and `user.registered` with it.
    pub async fn register(&self, registration: Registration) -> Result<Account, RegistrationError> {
        let Registration { email, username, display_name, password } = registration;
        // Asked before the costly part. Who decides is the database, when the account is written.
        let taken = self.users.taken(&email.key(), &username.key()).await?;
        if !taken.is_empty() {
            return Err(RegistrationError::Taken(taken));
        }
        let password = self.hasher.hash(password).await?;
        let now = self.clock.now();
        let id = UserId::new(now, &mut rand::rng());
        let account = Account {
            id,
            email,
            username,
            display_name,
            password,
            roles: vec![Role::User],
            created_at: now,
            updated_at: now,
        };
        let registered = UserRegistered {
            user_id: id,
            username: account.username.to_string(),
            email: account.email.to_string(),
            display_name: account.display_name.to_string(),
        };
        let registered = Envelope::new(SERVICE, registered.into(), trace::current(), now, &mut rand::rng());
        match self.users.insert(&account, registered).await {
            Ok(()) => {
                self.events.wake(id.to_string());
                Ok(account)
            }
            Err(WriteUserError::Taken(names)) => Err(RegistrationError::Taken(names)),
            Err(WriteUserError::Database(error)) => Err(error.into()),
        }
    }
}
