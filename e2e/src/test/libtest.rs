//! What `cargo test` prints, read as it comes.

use std::collections::BTreeSet;

use super::Tally;
use super::stream::SILENT;

/// The state of reading.
#[derive(Default)]
pub(super) struct Reader {
    total: Tally,
    /// The binary whose result has not been read yet.
    running: Option<String>,
    /// Its tests that take long and are not over.
    slow: BTreeSet<String>,
    failures: Option<Vec<String>>,
}

impl Reader {
    /// Takes the next line; answers what is worth showing of it.
    pub(super) fn line(&mut self, line: &str) -> Option<String> {
        if let Some(binary) = binary(line) {
            let unfinished = self.unfinished();
            self.running = Some(binary);
            return unfinished;
        }
        if line.starts_with(SILENT) {
            return Some(line.to_owned());
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

    /// The sum of all results, and what is worth showing of a binary that did not come to one.
    pub(super) fn end(mut self) -> (Tally, Option<String>) {
        let unfinished = self.unfinished();
        (self.total, unfinished)
    }

    /// A binary that ended without a result has failed, however far it came.
    fn unfinished(&mut self) -> Option<String> {
        let running = self.running.take()?;
        self.total += Tally::failed();
        let slow: Vec<String> = std::mem::take(&mut self.slow).into_iter().collect();
        let slow = if slow.is_empty() { "none that took long".to_owned() } else { slow.join(", ") };
        Some(format!("{running}: ended before its tests did; still under way: {slow}"))
    }

    fn result(&mut self, result: &str) -> Option<String> {
        let tally = Tally { passed: count(result, "passed")?, failed: count(result, "failed")? };
        self.total += tally;
        let failures = self.failures.take().map(|lines| format!("\n{}", lines.join("\n"))).unwrap_or_default();
        let time = result.rsplit_once("finished in ").map_or("", |(_, time)| time);
        self.slow.clear();
        let running = self.running.take().unwrap_or_default();
        (tally != Tally::default()).then(|| format!("{running}: {tally} ({time}){failures}"))
    }
}

/// `     Running tests/http.rs (target/release/deps/http-0f..)` and `   Doc-tests auth`, read as `http tests/http.rs`
/// and `auth documentation`.
fn binary(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} documentation"));
    }
    let (source, path) = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once(" (")?;
    let file = path.rsplit('/').next()?;
    let (name, _hash) = file.rsplit_once('-')?;
    Some(format!("{name} {}", source.trim_start_matches("unittests ")))
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
     Running unittests src/lib.rs (/t/release/deps/auth-8b01c3cfc06867fd)
running 2 tests
test password::a ... ok
test password::b ... FAILED
failures:
---- password::b stdout ----
it broke
failures:
    password::b
test result: FAILED. 1 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.25s
     Running unittests src/main.rs (/t/release/deps/auth-000000)
running 0 tests
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests servers
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s";

    #[test]
    fn results_are_added_up_and_failures_shown_with_their_reason() {
        let mut reader = Reader::default();
        let shown: Vec<_> = OUTPUT.lines().filter_map(|line| reader.line(line)).collect();
        assert_eq!(reader.end(), (Tally { passed: 13, failed: 1 }, None));
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert!(shown[0].starts_with("auth src/lib.rs: 1 passed, 1 failed (1.25s)\n"), "{}", shown[0]);
        assert!(shown[0].contains("it broke"), "{}", shown[0]);
        assert_eq!(shown[1], "servers documentation: 12 passed, 0 failed (0.02s)");
    }

    #[test]
    fn a_binary_that_was_killed_has_failed_and_the_tests_it_hung_in_are_named() {
        let output = format!(
            "     Running tests/a.rs (/t/a-0)
test one has been running for over 60 seconds
test two has been running for over 60 seconds
test one ... ok
{SILENT} a
     Running tests/b.rs (/t/b-0)
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s
     Running tests/c.rs (/t/c-0)"
        );
        let mut reader = Reader::default();
        let shown: Vec<_> = output.lines().filter_map(|line| reader.line(line)).collect();
        assert_eq!(
            shown,
            [
                format!("{SILENT} a"),
                "a tests/a.rs: ended before its tests did; still under way: two".to_owned(),
                "b tests/b.rs: 2 passed, 0 failed (0.02s)".to_owned(),
            ]
        );
        let (total, unfinished) = reader.end();
        assert_eq!(total, Tally { passed: 2, failed: 2 });
        assert_eq!(
            unfinished.unwrap(),
            "c tests/c.rs: ended before its tests did; still under way: none that took long"
        );
    }
}
