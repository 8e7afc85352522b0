//! What test programs print, read as it comes.

use std::collections::BTreeSet;

use super::Tally;
use super::stream::SILENT;

/// The state of reading.
pub(super) struct Reader {
    /// What is being tested.
    name: String,
    total: Tally,
    /// Whether tests have begun whose result has not been read yet.
    is_under_way: bool,
    /// Tests that take long and are not over.
    slow: BTreeSet<String>,
    failures: Option<Vec<String>>,
}

impl Reader {
    /// Nothing is read yet.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            total: Tally::default(),
            is_under_way: false,
            slow: BTreeSet::new(),
            failures: None,
        }
    }

    /// Takes the next line; answers what is worth showing of it.
    pub(super) fn line(&mut self, line: &str) -> Option<String> {
        if line.starts_with("running ") {
            self.is_under_way = true;
            return None;
        }
        if line == SILENT {
            return Some(format!("{}: {line}", self.name));
        }
        if let Some(test) = line.strip_prefix("test ") {
            if let Some(test) = test.strip_suffix(" has been running for over 60 seconds") {
                self.slow.insert(test.to_owned());
            } else if let Some((test, _)) = test.split_once(" ... ") {
                self.slow.remove(test);
            }
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            return self.result(result);
        }
        if line == "failures:" {
            self.failures.get_or_insert_default();
        }
        if let Some(failures) = &mut self.failures {
            failures.push(line.to_owned());
        }
        None
    }

    /// The sum of all results, and what is worth showing of tests that did not come to one.
    pub(super) fn end(self) -> (Tally, Option<String>) {
        if !self.is_under_way {
            return (self.total, None);
        }
        let slow: Vec<String> = self.slow.into_iter().collect();
        let slow = if slow.is_empty() { "none that took long".to_owned() } else { slow.join(", ") };
        let unfinished = format!("{}: ended before its tests did; still under way: {slow}", self.name);
        (Tally { failed: self.total.failed + 1, ..self.total }, Some(unfinished))
    }

    fn result(&mut self, result: &str) -> Option<String> {
        let tally = Tally { passed: count(result, "passed")?, failed: count(result, "failed")? };
        self.total += tally;
        let failures = self.failures.take().map(|lines| format!("\n{}", lines.join("\n"))).unwrap_or_default();
        let time = result.rsplit_once("finished in ").map_or("", |(_, time)| time);
        self.slow.clear();
        self.is_under_way = false;
        (tally != Tally::default()).then(|| format!("{}: {tally} ({time}){failures}", self.name))
    }
}

fn count(result: &str, what: &str) -> Option<usize> {
    let (before, _) = result.split_once(&format!(" {what}"))?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const OUTPUT: &str = "
running 2 tests
test password::a ... ok
test password::b ... FAILED
failures:
---- password::b stdout ----
it broke
failures:
    password::b
test result: FAILED. 1 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.25s
running 0 tests
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
running 12 tests
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s";

    #[test]
    fn results_are_added_up_and_failures_shown_with_their_reason() {
        let mut reader = Reader::new("auth src/lib.rs");
        let shown: Vec<_> = OUTPUT.lines().filter_map(|line| reader.line(line)).collect();
        assert_eq!(reader.end(), (Tally { passed: 13, failed: 1 }, None));
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(shown[0].starts_with("auth src/lib.rs: 1 passed, 1 failed (1.25s)\n"), "{}", shown[0]);
        assert!(shown[0].contains("it broke"), "{}", shown[0]);
        assert_eq!(shown[1], "auth src/lib.rs: 12 passed, 0 failed (0.02s)");
    }

    #[test]
    fn tests_without_a_result_have_failed_and_those_that_hung_are_named() {
        let output = format!(
            "running 3 tests
test one has been running for over 60 seconds
test two has been running for over 60 seconds
test one ... ok
{SILENT}"
        );
        let mut reader = Reader::new("a tests/a.rs");
        let shown: Vec<_> = output.lines().filter_map(|line| reader.line(line)).collect();
        assert_eq!(shown, [format!("a tests/a.rs: {SILENT}")]);
        let (total, unfinished) = reader.end();
        assert_eq!(total, Tally { passed: 0, failed: 1 });
        assert_eq!(unfinished.unwrap(), "a tests/a.rs: ended before its tests did; still under way: two");
    }
}
