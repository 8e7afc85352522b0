//! Whether a password is the account's: counted against guessing, compared in equal time, kept up to date.

use std::time::Duration;

use redis::RedisError;

use crate::accounts::Account;
use crate::lockout::{Attempt, Lockout};
use crate::password::{Hasher, HasherError, Password, Verdict};
use crate::store::UserStore;

/// Compares passwords.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Where accounts are kept.
    pub users: UserStore,
    /// Hashes.
    pub hasher: Hasher,
    /// Slows guessing down.
    pub lockout: Lockout,
}

/// Why somebody is not taken for the owner of an account.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There is no such account, or the password is another.
    #[error("wrong name or password")]
    Wrong,
    /// Too many attempts.
    #[error("locked for {} s", .0.as_secs())]
    Locked(Duration),
    /// Attempts cannot be counted, so none is looked at.
    #[error("redis: {0}")]
    NotCounted(#[from] RedisError),
    /// Nothing was hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The database.
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

impl Credentials {
    /// The account, if `password` is its password. Without an account the same work is done and the same error told;
    /// `name` is what was asked for then. `address` is where the attempt comes from.
    pub async fn check(
        &self,
        account: Option<Account>,
        name: &str,
        password: Option<Password>,
        address: Option<&str>,
    ) -> Result<Account, CredentialsError> {
        let address = address.unwrap_or_default();
        // By id, so that address and user name of one account do not count apart.
        let counted = account.as_ref().map_or_else(|| name.to_owned(), |account| account.id.to_string());
        if let Attempt::Locked(wait) = self.lockout.attempt(&counted, address).await? {
            return Err(CredentialsError::Locked(wait));
        }
        let account = self.compare(account, password).await?;
        if let Err(error) = self.lockout.succeeded(&counted, address).await {
            tracing::warn!(%error, "attempts to log in could not be forgotten");
        }
        Ok(account)
    }

    /// Whether who has a session of `account` knows its password too.
    pub async fn confirm(
        &self,
        account: Account,
        password: &str,
        address: Option<&str>,
    ) -> Result<Account, CredentialsError> {
        let name = account.id.to_string();
        self.check(Some(account), &name, Password::presented(password), address).await
    }

    async fn compare(&self, account: Option<Account>, password: Option<Password>) -> Result<Account, CredentialsError> {
        // What cannot be anybody's password needs no comparison, and says nothing about an account.
        let password = password.ok_or(CredentialsError::Wrong)?;
        let kept = account.as_ref().map(|account| account.password.clone());
        let verdict = self.hasher.verify(password.clone(), kept).await?;
        let account = account.ok_or(CredentialsError::Wrong)?;
        match verdict {
            Verdict::Wrong => return Err(CredentialsError::Wrong),
            Verdict::Right => {}
            Verdict::RightButOutdated => {
                let hash = self.hasher.hash(password).await?;
                self.users.rehash(account.id, &account.password, &hash).await?;
            }
        }
        Ok(account)
    }
}
