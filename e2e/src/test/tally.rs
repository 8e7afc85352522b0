//! How many tests passed and failed.

use std::fmt::{self, Display, Formatter};
use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Tally {
    /// One test that passed.
    pub(crate) fn passed() -> Self {
        Self { passed: 1, failed: 0 }
    }

    /// One test that failed, or a part that broke before its tests.
    pub(crate) fn failed() -> Self {
        Self { passed: 0, failed: 1 }
    }

    /// One test.
    pub(crate) fn of(passed: bool) -> Self {
        if passed { Self::passed() } else { Self::failed() }
    }

    /// Whether something ran and nothing failed.
    pub(crate) fn is_good(self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Display for Tally {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_the_last_line_of_a_run() {
        let mut tally = Tally { passed: 3, failed: 0 };
        tally += Tally::of(false);
        assert_eq!(tally.to_string(), "3 passed, 1 failed");
    }

    #[test]
    fn a_run_without_tests_is_not_a_good_one() {
        assert!(!Tally::default().is_good());
        assert!(Tally::of(true).is_good());
    }
}
