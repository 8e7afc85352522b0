//! When what could not be sent is tried again.

use std::time::Duration;

use rand::{Rng, RngExt};

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause: how late something may be once the server is back.
const LONGEST: Duration = Duration::from_mins(1);

/// How long to wait after the `attempts`-th try (from 1), give or take a quarter so that many do not return at once.
pub(super) fn pause(attempts: u32, rng: &mut (impl Rng + ?Sized)) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let pause = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    pause.mul_f64(rng.random_range(0.75..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_give_or_take_a_quarter() {
        let mut rng = rand::rng();
        for (attempts, seconds) in [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (8, 60.0), (u32::MAX, 60.0)] {
            for _ in 0..50 {
                let pause = pause(attempts, &mut rng).as_secs_f64();
                assert!((seconds * 0.75..=seconds * 1.25).contains(&pause), "{attempts}: {pause}");
            }
        }
    }
}
