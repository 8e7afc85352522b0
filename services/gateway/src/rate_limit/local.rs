//! The fallback while Redis is away: this process counts alone, so that with several of them a client may do somewhat
//! more, but never anything it likes.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use moka::sync::Cache;

use super::{Allowance, Rate, take};

/// More clients than this at a time and the oldest are forgotten: memory is bounded, whoever attacks.
const CLIENTS: u64 = 100_000;
/// Longer than any allowance takes to be whole again at a sensible rate.
const FORGET_AFTER: Duration = Duration::from_mins(10);

/// Counts in memory. Clones share the counts.
#[derive(Debug, Clone)]
pub struct LocalLimiter {
    began: Instant,
    whole_at: Cache<String, Arc<Mutex<u64>>>,
}

impl Default for LocalLimiter {
    fn default() -> Self {
        let whole_at = Cache::builder().max_capacity(CLIENTS).time_to_idle(FORGET_AFTER).build();
        Self { began: Instant::now(), whole_at }
    }
}

impl LocalLimiter {
    /// Takes one request out of `key`'s allowance.
    #[must_use]
    pub fn take(&self, key: &str, rate: Rate) -> Allowance {
        let entry = self.whole_at.get_with_by_ref(key, Arc::default);
        let mut whole_at = entry.lock().unwrap_or_else(PoisonError::into_inner);
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (allowance, next) = take(rate, *whole_at, now);
        if let Some(next) = next {
            *whole_at = next;
        }
        allowance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_an_allowance_of_its_own() {
        let limiter = LocalLimiter::default();
        let rate = Rate { per_minute: 1, burst: 2 };
        let allowed = |key: &str| limiter.take(key, rate).allowed;
        assert_eq!([allowed("a"), allowed("a"), allowed("a"), allowed("b")], [true, true, false, true]);
    }
}
