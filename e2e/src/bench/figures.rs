//! Numbers and the table they are shown in.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::statistics::median_and_worst;
use crate::scenarios::process::Megabytes;

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
        let mut rows = Rows::of(["what", "n", "median", "worst", "goal"]);
        for Row { what, count, median, worst, goal } in &self.0 {
            rows.add([what.clone(), count.to_string(), median.clone(), worst.clone(), goal.clone()]);
        }
        rows.fmt(formatter)
    }
}

/// Rows of what two programs took for the same, side by side.
pub(super) struct Comparison {
    names: [&'static str; 2],
    rows: Vec<[String; 5]>,
}

impl Comparison {
    /// Of these two; no row yet.
    pub(super) fn of(names: [&'static str; 2]) -> Self {
        Self { names, rows: Vec::new() }
    }

    /// Adds amounts of memory, in KiB.
    pub(super) fn memory(&mut self, what: &str, kibibytes: [Option<u64>; 2], goal: &str) {
        self.add(what, kibibytes, |kibibytes| Megabytes(kibibytes).to_string(), goal);
    }

    /// Adds times.
    pub(super) fn times(&mut self, what: &str, times: [Option<Duration>; 2], goal: &str) {
        let milliseconds = times.map(|time| u64::try_from(time?.as_millis()).ok());
        self.add(what, milliseconds, |time| format!("{:.1} s", Duration::from_millis(time).as_secs_f64()), goal);
    }

    /// Adds numbers.
    pub(super) fn counts(&mut self, what: &str, counts: [Option<u64>; 2], goal: &str) {
        self.add(what, counts, |count| count.to_string(), goal);
    }

    fn add(&mut self, what: &str, values: [Option<u64>; 2], show: impl Fn(u64) -> String, goal: &str) {
        let ratio = match values {
            [Some(one), Some(other)] if one > 0 => format!("{}.{}", other / one, other * 10 / one % 10),
            _ => String::new(),
        };
        let [one, other] = values.map(|value| value.map(&show).unwrap_or_default());
        self.rows.push([what.to_owned(), one, other, ratio, goal.to_owned()]);
    }
}

impl Display for Comparison {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let [one, other] = self.names;
        let mut rows = Rows::of(["what", one, other, "ratio", "goal"]);
        rows.cells.extend(self.rows.iter().cloned());
        rows.fmt(formatter)
    }
}

/// Rows of any cells under a head, shown as Markdown.
pub(super) struct Rows<const N: usize> {
    head: [String; N],
    cells: Vec<[String; N]>,
}

impl<const N: usize> Rows<N> {
    /// Under this head; no row yet.
    pub(super) fn of(head: [&str; N]) -> Self {
        Self { head: head.map(str::to_owned), cells: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, cells: [String; N]) {
        self.cells.push(cells);
    }
}

impl<const N: usize> Display for Rows<N> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| {} |\n|{}", self.head.join(" | "), "---|".repeat(N))?;
        for row in &self.cells {
            writeln!(formatter, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_comparison_tells_how_many_times_as_much_the_other_one_takes() {
        let mut table = Comparison::of(["ours", "theirs"]);
        table.memory("idle", [Some(10_000), Some(36_000)], "12 MB");
        table.times("to converge", [Some(Duration::from_secs(20)), None], "");
        table.counts("writes", [Some(0), Some(7)], "0");
        assert_eq!(
            table.to_string(),
            "| what | ours | theirs | ratio | goal |\n|---|---|---|---|---|\n\
             | idle | 10.2 MB | 36.8 MB | 3.6 | 12 MB |\n| to converge | 20.0 s |  |  |  |\n| writes | 0 | 7 |  | 0 |\n"
        );
    }
}
