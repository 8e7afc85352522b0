//! Times without an acknowledgement.

use std::iter::once;
use std::time::{Duration, Instant};

/// The longest time without an acknowledgement between a beginning and an end.
pub(crate) fn longest(times: &[Instant], began: Instant, ended: Instant) -> Duration {
    let starts = once(&began).chain(times);
    let gaps = starts.zip(times.iter().chain([&ended])).map(|(from, to)| to.saturating_duration_since(*from));
    gaps.max().unwrap_or_default()
}

/// From a fault to the end of the longest gap that ended after it: an answer that was under way when it happened may still have come
/// after it.
pub(crate) fn outage_since(times: &[Instant], fault: Instant) -> Option<Duration> {
    let starts = once(&fault).chain(times);
    let gaps = starts.zip(times).filter(|(_, to)| **to > fault);
    let (_, end) = gaps.max_by_key(|(from, to)| to.saturating_duration_since((**from).max(fault)))?;
    Some(end.saturating_duration_since(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(began: Instant, milliseconds: &[u64]) -> Vec<Instant> {
        milliseconds.iter().map(|milliseconds| began + Duration::from_millis(*milliseconds)).collect()
    }

    #[test]
    fn gaps_are_measured_from_the_start_to_the_end() {
        let began = Instant::now();
        let after = |milliseconds| began + Duration::from_millis(milliseconds);
        assert_eq!(longest(&[], began, after(700)), Duration::from_millis(700));
        let times = at(began, &[100, 200, 3200, 3300]);
        assert_eq!(longest(&times, began, after(3400)), Duration::from_secs(3));
        assert_eq!(longest(&times, began, after(9000)), Duration::from_millis(5700));
    }

    #[test]
    fn an_outage_lasts_from_the_fault_to_the_end_of_the_gap() {
        let began = Instant::now();
        let after = |milliseconds| began + Duration::from_millis(milliseconds);
        assert_eq!(outage_since(&[], began), None);
        // The answer at 160 was under way when the fault happened at 150.
        let times = at(began, &[100, 160, 3150, 3250, 3400]);
        assert_eq!(outage_since(&times, after(150)), Some(Duration::from_secs(3)));
        assert_eq!(outage_since(&times, after(5000)), None);
    }
}
