//! Progressive lockout: whoever keeps guessing the password of an account from one address has to wait longer and longer.
//!
//! The address is part of it, so that nobody can lock somebody else out (OWASP Authentication Cheat Sheet, "Account
//! Lockout"); the gateway's rate limits bound what many addresses can try. An attempt is counted before its password is
//! looked at and taken back when that was right: guesses sent at once are counted one by one.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use redis::{ExistenceCheck, RedisError, SetExpiry, SetOptions};
use runtime::connect::Redis;
use sha2::{Digest as _, Sha256};

/// So many attempts are free.
const FREE_ATTEMPTS: u32 = 10;
/// The wait after the first attempt too many; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// Attempts are forgotten when none was made for this long.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// Counts attempts to log in, in Redis.
#[derive(Clone)]
pub struct Lockout {
    redis: Redis,
}

/// Whether an attempt may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It may.
    Allowed,
    /// Not before this much time has passed.
    Locked(Duration),
}

impl Lockout {
    /// Counts in `redis`.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Counts an attempt to log in as `account` (whatever names it, if only always the same) from `address`.
    pub async fn attempt(&self, account: &str, address: &str) -> Result<Attempt, RedisError> {
        let mut redis = self.redis.clone();
        let (attempts, lock) = keys(account, address);
        let left: i64 = redis::cmd("PTTL").arg(&lock).query_async(&mut redis).await?;
        if let Ok(left @ 1..) = u64::try_from(left) {
            return Ok(Attempt::Locked(Duration::from_millis(left)));
        }
        let (count,): (u32,) = redis::pipe()
            .atomic()
            .incr(&attempts, 1)
            .expire(&attempts, FORGOTTEN_AFTER.as_secs().cast_signed())
            .ignore()
            .query_async(&mut redis)
            .await?;
        let Some(wait) = wait(count) else { return Ok(Attempt::Allowed) };
        // Of several attempts at once only the one that sets the lock goes on.
        let only_once = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::PX(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
        let set: Option<String> = redis::cmd("SET").arg(&lock).arg(1).arg(&only_once).query_async(&mut redis).await?;
        Ok(if set.is_some() { Attempt::Allowed } else { Attempt::Locked(wait) })
    }

    /// The attempt was the account's owner: all is forgotten.
    pub async fn succeeded(&self, account: &str, address: &str) -> Result<(), RedisError> {
        let (attempts, lock) = keys(account, address);
        redis::cmd("DEL").arg(attempts).arg(lock).query_async(&mut self.redis.clone()).await
    }
}

impl std::fmt::Debug for Lockout {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lockout").finish_non_exhaustive()
    }
}

/// How long the next attempt has to wait after the `count`th; `None` while attempts are free.
fn wait(count: u32) -> Option<Duration> {
    let doublings = count.checked_sub(FREE_ATTEMPTS + 1)?;
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    Some(FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT))
}

/// Keys of the count and of the lock. Digests, because Redis has no need to know who tries to log in.
fn keys(account: &str, address: &str) -> (String, String) {
    let digest = Sha256::new().chain_update(account).chain_update([0]).chain_update(address).finalize();
    let digest = BASE64_URL_SAFE_NO_PAD.encode(&digest[..16]);
    (format!("auth:attempts:{digest}"), format!("auth:locked:{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ten_attempts_are_free_and_then_the_wait_doubles_up_to_a_quarter_of_an_hour() {
        assert_eq!([wait(1), wait(10)], [None, None]);
        let seconds = |count| wait(count).map(|wait| wait.as_secs());
        assert_eq!([seconds(11), seconds(12), seconds(13)], [Some(1), Some(2), Some(4)]);
        assert_eq!([seconds(20), seconds(21), seconds(u32::MAX)], [Some(512), Some(900), Some(900)]);
    }

    #[test]
    fn accounts_and_addresses_are_counted_apart_and_not_readable() {
        let (here, _) = keys("ada@example.org", "192.0.2.1");
        assert_ne!(here, keys("ada@example.org", "192.0.2.2").0);
        assert_ne!(here, keys("eve@example.org", "192.0.2.1").0);
        assert!(here.starts_with("auth:") && !here.contains("ada"));
    }
}
