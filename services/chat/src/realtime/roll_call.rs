//! Who is believed to be online here, compared now and then with what Redis says.
//!
//! That somebody came or went is said once, by way of Redis, and may be lost there: to a replica that listened to nobody at that moment, or
//! by one that died before it could say so. Pure.

use std::collections::HashSet;

use contract::id::UserId;

/// Who is believed to be online, by what has been told.
#[derive(Debug, Default)]
pub(super) struct RollCall {
    online: HashSet<UserId>,
    /// Of whom something was told since the call that is under way began; what it brings may be older.
    told: HashSet<UserId>,
    under_way: bool,
    /// Whether there has been one. Before that there is nothing to compare with.
    begun: bool,
}

impl RollCall {
    /// It is told that somebody came, or went.
    pub(super) fn told(&mut self, user: UserId, online: bool) {
        if online {
            self.online.insert(user);
        } else {
            self.online.remove(&user);
        }
        if self.under_way {
            self.told.insert(user);
        }
    }

    /// Whether the first call has been made.
    pub(super) fn has_begun(&self) -> bool {
        self.begun || self.under_way
    }

    /// Begins a call; false if one is under way.
    pub(super) fn begin(&mut self) -> bool {
        if std::mem::replace(&mut self.under_way, true) {
            return false;
        }
        self.told.clear();
        true
    }

    /// Who answered. Gives those of whom nobody had told that they came, or went.
    pub(super) fn answered(&mut self, answered: &HashSet<UserId>) -> Vec<(UserId, bool)> {
        self.under_way = false;
        let told = std::mem::take(&mut self.told);
        let came = answered.difference(&self.online).map(|user| (*user, true));
        let went = self.online.difference(answered).map(|user| (*user, false));
        let missed: Vec<_> = came.chain(went).filter(|(user, _)| !told.contains(user)).collect();
        for (user, online) in &missed {
            self.told(*user, *online);
        }
        if std::mem::replace(&mut self.begun, true) { missed } else { Vec::new() }
    }

    /// The call came to nothing.
    pub(super) fn failed(&mut self) {
        self.under_way = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> [UserId; 3] {
        [UserId::generate(), UserId::generate(), UserId::generate()]
    }

    #[test]
    fn the_first_call_tells_nothing_and_the_next_what_was_never_told() {
        let ([ada, bob, cleo], mut calls) = (three(), RollCall::default());
        assert!(calls.begin());
        assert!(calls.answered(&[ada, bob].into()).is_empty());
        calls.told(cleo, true);
        assert!(calls.begin() && !calls.begin());
        let mut missed = calls.answered(&[cleo, bob].into());
        assert_eq!(missed.pop(), Some((ada, false)));
        assert!(missed.is_empty());
        assert!(calls.begin());
        assert_eq!(calls.answered(&[ada, bob, cleo].into()), [(ada, true)]);
    }

    #[test]
    fn what_is_told_during_a_call_counts_and_not_what_the_call_brings_of_it() {
        let ([ada, bob, cleo], mut calls) = (three(), RollCall::default());
        calls.begin();
        calls.answered(&[ada, bob].into());
        calls.begin();
        calls.told(ada, false);
        calls.told(cleo, true);
        assert!(calls.answered(&[ada, bob].into()).is_empty());
        calls.begin();
        assert!(calls.answered(&[bob, cleo].into()).is_empty(), "it was believed as told");
    }

    #[test]
    fn a_call_that_failed_is_followed_by_another() {
        let ([ada, ..], mut calls) = (three(), RollCall::default());
        assert!(calls.begin());
        calls.failed();
        assert!(calls.begin());
        assert!(calls.answered(&[ada].into()).is_empty());
    }
}
