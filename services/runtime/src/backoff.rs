//! Pauses between attempts at what fails.

use std::time::Duration;

/// Waiting times that double with each failure, with jitter so that many clients do not come back at once.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// None has failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// How long to wait after one more failure: between half the present time and all of it.
    pub fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(Self::LONGEST);
        wait.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_over_after_a_success() {
        let mut backoff = Backoff::new();
        let mut bound = Backoff::FIRST;
        for _ in 0..20 {
            let wait = backoff.failed();
            assert!(wait <= bound && wait >= bound / 2, "{wait:?} is not within half of {bound:?}");
            bound = (bound * 2).min(Backoff::LONGEST);
        }
        backoff.reset();
        assert!(backoff.failed() <= Backoff::FIRST);
    }
}
