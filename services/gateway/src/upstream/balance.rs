//! The power of two choices: of two endpoints picked at random, the one with less in hand. Nearly as even as asking all of
//! them, without the herd that runs to the one that just looked idle (Mitzenmacher, 2001).

use std::sync::Arc;

use super::endpoint::Endpoint;

/// Chooses among `candidates`; `pick` tells a random number below its argument.
#[must_use]
pub fn choose(candidates: &[&Arc<Endpoint>], mut pick: impl FnMut(usize) -> usize) -> Option<Arc<Endpoint>> {
    let count = candidates.len();
    let chosen = match count {
        0 => return None,
        1 => candidates[0],
        _ => {
            let first = pick(count);
            // Another one, each with equal chance.
            let second = (first + 1 + pick(count - 1)) % count;
            let (first, second) = (candidates[first], candidates[second]);
            if second.in_flight() < first.in_flight() { second } else { first }
        }
    };
    Some(Arc::clone(chosen))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::upstream::endpoint::Lease;

    fn endpoints(count: u8) -> Vec<Arc<Endpoint>> {
        (0..count).map(|last| Arc::new(Endpoint::new(([10, 0, 0, last], 80).into()).unwrap())).collect()
    }

    /// Numbers as they come from a generator of Knuth's (MMIX).
    fn random(seed: u64) -> impl FnMut(usize) -> usize {
        let mut state = seed;
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        }
    }

    #[test]
    fn nobody_is_chosen_of_nobody_and_the_only_one_of_one() {
        let one = endpoints(1);
        assert!(choose(&[], |_| 0).is_none());
        assert!(Arc::ptr_eq(&choose(&[&one[0]], |_| 0).unwrap(), &one[0]));
    }

    #[test]
    fn of_two_the_one_with_less_in_hand_is_chosen_whoever_comes_first() {
        let two = endpoints(2);
        let _busy = Lease::new(Arc::clone(&two[0]));
        for first in 0..2 {
            let mut picks = [first, 0].into_iter();
            let chosen = choose(&[&two[0], &two[1]], |_| picks.next().unwrap()).unwrap();
            assert!(Arc::ptr_eq(&chosen, &two[1]));
        }
    }

    proptest! {
        #[test]
        fn work_that_lasts_is_spread_evenly(count in 2_u8..20, each in 5_usize..50, seed: u64) {
            let endpoints = endpoints(count);
            let candidates: Vec<_> = endpoints.iter().collect();
            let mut pick = random(seed);
            let leases: Vec<_> = (0..each * usize::from(count))
                .map(|_| Lease::new(choose(&candidates, &mut pick).unwrap()))
                .collect();
            let most = endpoints.iter().map(|endpoint| endpoint.in_flight()).max().unwrap();
            // One choice alone would exceed the mean by about the square root of it; two choices by log log of the count.
            prop_assert!(most <= each + 5, "{most} where {each} would be even");
            drop(leases);
            prop_assert!(endpoints.iter().all(|endpoint| endpoint.in_flight() == 0));
        }

        #[test]
        fn who_is_slow_gets_less(count in 2_u8..10, seed: u64) {
            let endpoints = endpoints(count);
            let candidates: Vec<_> = endpoints.iter().collect();
            let mut pick = random(seed);
            // The first never ends what it has; the others do at once.
            let mut stuck = Vec::new();
            for _ in 0..1000 {
                let lease = Lease::new(choose(&candidates, &mut pick).unwrap());
                if Arc::ptr_eq(lease.endpoint(), &endpoints[0]) {
                    stuck.push(lease);
                }
            }
            prop_assert_eq!(stuck.len(), 1);
        }
    }
}
