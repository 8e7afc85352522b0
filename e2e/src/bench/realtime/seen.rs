//! Which messages of a conversation a reader has.

use std::collections::BTreeSet;

/// Numbers of a line that begins with 1.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Everything up to here.
    up_to: u64,
    ahead: BTreeSet<u64>,
}

impl Seen {
    /// Takes a number; false if it was there.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        if number <= self.up_to || !self.ahead.insert(number) {
            return false;
        }
        while self.ahead.first() == Some(&(self.up_to + 1)) {
            self.ahead.pop_first();
            self.up_to += 1;
        }
        true
    }

    /// Up to which number none is missing: a reader's cursor.
    pub(super) fn up_to(&self) -> u64 {
        self.up_to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_early_counts_once_the_gap_before_it_is_closed() {
        let mut seen = Seen::default();
        assert!(seen.insert(1) && seen.insert(3) && seen.insert(4));
        assert_eq!(seen.up_to(), 1);
        assert!(seen.insert(2));
        assert_eq!(seen.up_to(), 4);
    }

    #[test]
    fn what_comes_again_is_known() {
        let mut seen = Seen::default();
        assert!(seen.insert(2) && !seen.insert(2) && seen.insert(1));
        assert!(!seen.insert(1) && !seen.insert(2));
    }
}
