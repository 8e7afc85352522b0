//! How passwords are kept: Argon2id, hashed in a pool as wide as the machine has cores. Hashes of bcrypt, which another
//! system may have made, are understood and replaced at the next log-in.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{self, CustomizedPasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::Password;

/// OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB of memory, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How long a request waits for a core before it is told that the service is busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// A kept password, as a PHC string (`$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`), or as bcrypt writes it (`$2b$...`,
/// also `$2a$` and `$2y$`).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Right,
    /// It is the password, kept in another way than today's: hash it anew.
    RightButOutdated,
    /// It is not.
    Wrong,
}

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HasherError {
    /// Every core was hashing for as long as a request waits.
    #[error("every core has been hashing passwords for {} s", PATIENCE.as_secs())]
    Busy,
    /// The kept hash cannot be read, or Argon2 refused its input.
    #[error("Argon2: {0}")]
    Argon2(#[from] password_hash::Error),
    /// The kept hash is no PHC string.
    #[error("kept hash: {0}")]
    Phc(#[from] phc::Error),
    /// The kept hash is bcrypt's and cannot be read.
    #[error("kept bcrypt hash: {0}")]
    Bcrypt(#[from] bcrypt::BcryptError),
    /// The thread that hashed came to grief.
    #[error("hashing thread: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Hashes and compares passwords, at most one a core at a time: each takes 19 MiB and about 19 ms of a core, which
/// must neither stall the runtime's own threads nor pile up without bound.
#[derive(Clone, Debug)]
pub struct Hasher {
    cores: Arc<Semaphore>,
    /// A hash of a password nobody has, compared against when an account does not exist.
    nobody: Arc<PasswordHash>,
}

impl Hasher {
    /// A pool of `cores` threads. Hashes once, to have what unknown accounts are compared with.
    pub fn new(cores: NonZeroUsize) -> Result<Self, HasherError> {
        let nobody = hash(&rand::random::<[u8; 32]>())?;
        Ok(Self { cores: Arc::new(Semaphore::new(cores.get())), nobody: Arc::new(nobody) })
    }

    /// Hashes `password` with a fresh salt.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HasherError> {
        self.run(move || hash(password.expose().as_bytes())).await
    }

    /// Compares `password` with what is kept. Without an account (`None`) it works as long and finds it wrong, so
    /// that the time of an answer does not tell who has an account.
    pub async fn verify(&self, password: Password, kept: Option<PasswordHash>) -> Result<Verdict, HasherError> {
        let exists = kept.is_some();
        let kept = kept.unwrap_or_else(|| (*self.nobody).clone());
        let verdict = self.run(move || verify(&password, &kept)).await?;
        Ok(if exists { verdict } else { Verdict::Wrong })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HasherError> + Send + 'static,
    ) -> Result<T, HasherError> {
        let core = tokio::time::timeout(PATIENCE, Arc::clone(&self.cores).acquire_owned())
            .await
            .map_err(|_elapsed| HasherError::Busy)?
            // The semaphore is never closed; were it, nothing could be hashed any more.
            .map_err(|_closed| HasherError::Busy)?;
        // The permit goes along: a request that is dropped half-way leaves its thread hashing, and that core taken.
        tokio::task::spawn_blocking(move || {
            let _core = core;
            work()
        })
        .await?
    }
}

fn parameters() -> Result<Params, HasherError> {
    Ok(Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(password_hash::Error::from)?)
}

fn hash(password: &[u8]) -> Result<PasswordHash, HasherError> {
    let salt = rand::random::<[u8; 16]>();
    let hash: phc::PasswordHash = Argon2::default().hash_password_with_params(password, &salt, parameters()?)?;
    Ok(PasswordHash(hash.to_string()))
}

fn verify(password: &Password, kept: &PasswordHash) -> Result<Verdict, HasherError> {
    if kept.0.starts_with("$2") {
        let right = bcrypt::verify(password.expose(), &kept.0)?;
        return Ok(if right { Verdict::RightButOutdated } else { Verdict::Wrong });
    }
    let kept = phc::PasswordHash::new(&kept.0)?;
    match Argon2::default().verify_password(password.expose().as_bytes(), &kept) {
        Ok(()) if is_current(&kept)? => Ok(Verdict::Right),
        Ok(()) => Ok(Verdict::RightButOutdated),
        Err(password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
        Err(error) => Err(error.into()),
    }
}

fn is_current(kept: &phc::PasswordHash) -> Result<bool, HasherError> {
    let (used, today) = (Params::try_from(kept)?, parameters()?);
    Ok(kept.algorithm == Algorithm::Argon2id.ident()
        && kept.version == Some(Version::V0x13.into())
        && used.m_cost() == today.m_cost()
        && used.t_cost() == today.t_cost()
        && used.p_cost() == today.p_cost())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hasher() -> Hasher {
        Hasher::new(NonZeroUsize::new(2).unwrap()).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::presented(text).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_kept_as_argon2id_with_the_parameters_of_owasp() {
        let kept = hasher().hash(password("a fine password")).await.unwrap();
        assert!(kept.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.0);
    }

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let hasher = hasher();
        let kept = hasher.hash(password("a fine password")).await.unwrap();
        let right = hasher.verify(password("a fine password"), Some(kept.clone()));
        assert_eq!(right.await.unwrap(), Verdict::Right);
        let wrong = hasher.verify(password("A fine password"), Some(kept));
        assert_eq!(wrong.await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn an_account_that_does_not_exist_has_no_right_password() {
        let verdict = hasher().verify(password("whatever it may be"), None).await;
        assert_eq!(verdict.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn the_same_password_is_kept_differently_each_time() {
        let hasher = hasher();
        let first = hasher.hash(password("a fine password")).await.unwrap();
        let second = hasher.hash(password("a fine password")).await.unwrap();
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_right_but_outdated() {
        let weaker = Params::new(8 * 1024, 1, 1, None).unwrap();
        let kept: phc::PasswordHash =
            Argon2::default().hash_password_with_params(b"a fine password", b"sixteen of salt.", weaker).unwrap();
        let verdict = hasher().verify(password("a fine password"), Some(PasswordHash(kept.to_string()))).await;
        assert_eq!(verdict.unwrap(), Verdict::RightButOutdated);
    }

    #[tokio::test]
    async fn a_hash_of_bcrypt_is_right_but_outdated() {
        // The vector of OpenBSD's and Openwall's tests, as each of the prefixes writes it.
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let kept = format!("{prefix}05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
            let hasher = hasher();
            let verify = |text: &str| hasher.verify(password(text), Some(PasswordHash(kept.clone())));
            assert_eq!(verify("U*U").await.unwrap(), Verdict::RightButOutdated, "{prefix}");
            assert_eq!(verify("U*U*").await.unwrap(), Verdict::Wrong, "{prefix}");
        }
    }
}
