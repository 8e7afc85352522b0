//! Numbers and the table they are shown in.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Rows of what was measured.
#[derive(Default)]
pub(super) struct Table(Vec<Row>);

struct Row {
    what: String,
    count: usize,
    median: String,
    worst: String,
    goal: String,
}

impl Table {
    /// Adds times.
    pub(super) fn times(&mut self, what: &str, times: &[Duration], goal: &str) {
        self.add(what, times, |time| format!("{:.1} s", time.as_secs_f64()), goal);
    }

    /// Adds amounts of memory, in KiB.
    pub(super) fn memory(&mut self, what: &str, kibibytes: &[u64]) {
        self.add(what, kibibytes, |kibibytes| format!("{} MiB", kibibytes.div_ceil(1024)), "");
    }

    fn add<T: Copy + Ord>(&mut self, what: &str, values: &[T], show: impl Fn(T) -> String, goal: &str) {
        let Some((median, worst)) = median_and_worst(values) else { return };
        self.0.push(Row {
            what: what.to_owned(),
            count: values.len(),
            median: show(median),
            worst: show(worst),
            goal: goal.to_owned(),
        });
    }
}

impl Display for Table {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| what | n | median | worst | goal |\n|---|---|---|---|---|")?;
        for Row { what, count, median, worst, goal } in &self.0 {
            writeln!(formatter, "| {what} | {count} | {median} | {worst} | {goal} |")?;
        }
        Ok(())
    }
}

/// Of an even number of values, the median is the worse one of the two in the middle.
fn median_and_worst<T: Copy + Ord>(values: &[T]) -> Option<(T, T)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_never_better_than_half_of_the_values() {
        assert_eq!(median_and_worst(&[3, 1, 2]), Some((2, 3)));
        assert_eq!(median_and_worst(&[4, 1, 3, 2]), Some((3, 4)));
        assert_eq!(median_and_worst::<u64>(&[]), None);
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::default();
        table.times("applied to Ready", &[Duration::from_millis(24_680), Duration::from_secs(31)], "60 s");
        table.memory("a member", &[125_000]);
        assert_eq!(
            table.to_string(),
            "| what | n | median | worst | goal |\n|---|---|---|---|---|\n\
             | applied to Ready | 2 | 31.0 s | 31.0 s | 60 s |\n| a member | 1 | 123 MiB | 123 MiB |  |\n"
        );
    }
}
