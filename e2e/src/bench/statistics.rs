//! What many values come to.

use std::time::Duration;

/// Of an even number of values, the median is the worse one of the two in the middle: the larger.
pub(super) fn median_and_worst<T: Copy + Ord>(values: &[T]) -> Option<(T, T)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}

/// The median of numbers, as of [`median_and_worst`]; nothing of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Times, of which any part can be asked for.
#[derive(Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    /// The time that so many in a hundred of all did not exceed (nearest rank); nothing where there are none.
    pub(super) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }
}

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

/// `12.3 µs` of processor time for each of `count`.
pub(super) fn micros_each(time: Duration, count: u64) -> f64 {
    // A count below 2^53 is exact.
    #[expect(clippy::cast_precision_loss)]
    let count = count as f64;
    time.as_secs_f64() * 1e6 / count
}

/// So many within a time, for each second of it.
pub(super) fn each_second(count: u64, time: Duration) -> f64 {
    1e6 / micros_each(time, count)
}

/// Milliseconds with two digits: `1.27 ms`; nothing if there is no time.
pub(super) fn milliseconds(time: Option<Duration>) -> String {
    time.map(|time| format!("{:.2} ms", time.as_secs_f64() * 1e3)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_never_better_than_half_of_the_values() {
        assert_eq!(median_and_worst(&[3, 1, 2]), Some((2, 3)));
        assert_eq!(median_and_worst(&[4, 1, 3, 2]), Some((3, 4)));
        assert_eq!(median_and_worst::<u64>(&[]), None);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]).map(f64::to_bits), Some(3.0_f64.to_bits()));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times: Times = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(times.percentile(50), Some(Duration::from_millis(100)));
        assert_eq!(times.percentile(99), Some(Duration::from_millis(198)));
        assert_eq!(times.percentile(100), Some(Duration::from_millis(200)));
        let one: Times = [Duration::from_millis(7)].into_iter().collect();
        assert_eq!([one.percentile(1), one.percentile(99)], [Some(Duration::from_millis(7)); 2]);
        assert_eq!(Times::default().percentile(50), None);
    }

    #[test]
    fn what_each_takes_and_how_many_there_are_in_a_second_are_two_sides_of_one() {
        assert_eq!(format!("{:.1}", micros_each(Duration::from_secs(2), 100_000)), "20.0");
        assert_eq!(format!("{:.0}", each_second(100, Duration::from_secs(2))), "50");
        assert_eq!(milliseconds(Some(Duration::from_micros(1_274))), "1.27 ms");
    }
}
