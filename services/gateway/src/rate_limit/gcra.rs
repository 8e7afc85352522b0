//! The generic cell rate algorithm (ITU-T I.371): one number a key, the time at which the key's allowance is whole again.
//!
//! A request moves that time on by window / requests; it is refused when that would take it further than one window ahead.

use crate::settings::Policy;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Decision {
    /// Whether it is let through.
    pub(crate) allowed: bool,
    /// How many more would be, right now.
    pub(crate) remaining: u32,
    /// When to try again, in milliseconds from now; 0 for one that was let through.
    pub(crate) retry_ms: u64,
    /// When the allowance is whole again, in milliseconds from now.
    pub(crate) reset_ms: u64,
}

impl Decision {
    /// `Retry-After`: whole seconds, never too early.
    pub(crate) fn retry_seconds(self) -> u64 {
        self.retry_ms.div_ceil(1000)
    }

    /// Likewise for the allowance.
    pub(crate) fn reset_seconds(self) -> u64 {
        self.reset_ms.div_ceil(1000)
    }
}

/// Microseconds that one request costs.
pub(crate) fn cost_us(policy: Policy) -> u64 {
    (window_us(policy) / u64::from(policy.requests.max(1))).max(1)
}

/// Microseconds that may be spent at once.
pub(crate) fn window_us(policy: Policy) -> u64 {
    u64::from(policy.window_seconds) * 1_000_000
}

/// Decides at `now_us` for a key whose allowance is whole at `whole_us`; answers with the decision and the new such time.
pub(crate) fn decide(whole_us: u64, now_us: u64, policy: Policy) -> (Decision, u64) {
    let (cost, window) = (cost_us(policy), window_us(policy));
    let whole = whole_us.max(now_us);
    let spent = whole + cost;
    if spent > now_us + window {
        let decision =
            Decision { allowed: false, remaining: 0, retry_ms: (spent - window - now_us).div_ceil(1000), reset_ms: (whole - now_us).div_ceil(1000) };
        return (decision, whole);
    }
    let left = (now_us + window - spent) / cost;
    let decision = Decision {
        allowed: true,
        remaining: u32::try_from(left).unwrap_or(u32::MAX),
        retry_ms: 0,
        reset_ms: (spent - now_us).div_ceil(1000),
    };
    (decision, spent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy { requests: 3, window_seconds: 3 };

    #[test]
    fn a_burst_is_let_through_up_to_the_limit_and_then_one_by_one() {
        let mut whole = 0;
        let mut at = |now_ms: u64| {
            let (decision, next) = decide(whole, 1_000_000_000 + now_ms * 1000, POLICY);
            whole = next;
            (decision.allowed, decision.remaining, decision.retry_ms)
        };
        assert_eq!(at(0), (true, 2, 0));
        assert_eq!(at(0), (true, 1, 0));
        assert_eq!(at(0), (true, 0, 0));
        assert_eq!(at(0), (false, 0, 1000));
        assert_eq!(at(400), (false, 0, 600));
        assert_eq!(at(1000), (true, 0, 0));
        assert_eq!(at(1000), (false, 0, 1000));
        assert_eq!(at(60_000), (true, 2, 0));
    }

    proptest! {
        #[test]
        fn never_more_than_twice_the_limit_passes_in_any_window(
            requests in 1u32..50, window_seconds in 1u32..20, gaps in prop::collection::vec(0u64..200_000, 1..400)
        ) {
            let policy = Policy { requests, window_seconds };
            let (mut whole, mut now) = (0, 1_000_000_000);
            let mut passed = Vec::new();
            for gap in gaps {
                now += gap;
                let (decision, next) = decide(whole, now, policy);
                whole = next;
                if decision.allowed {
                    passed.push(now);
                }
            }
            let window = window_us(policy);
            for (first, start) in passed.iter().enumerate() {
                let within = passed[first..].iter().take_while(|at| **at - start < window).count();
                // A whole allowance at once, and what grows back within the window.
                prop_assert!(within as u64 <= 2 * u64::from(requests) + 1);
            }
        }

        #[test]
        fn who_waits_as_told_is_let_through(requests in 1u32..50, window_seconds in 1u32..20, tries in 1usize..120) {
            let policy = Policy { requests, window_seconds };
            let (mut whole, mut now) = (0, 1_000_000_000);
            for _ in 0..tries {
                let (decision, next) = decide(whole, now, policy);
                whole = next;
                if !decision.allowed {
                    now += decision.retry_ms * 1000;
                    let (again, next) = decide(whole, now, policy);
                    whole = next;
                    prop_assert!(again.allowed);
                }
            }
        }
    }
}
