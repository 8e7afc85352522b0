//! The order in which changes are passed on, and what is done about those that did not come.
//!
//! Each change of a conversation has the next number. Replicas publish after they have stored, so two changes can arrive in the wrong order,
//! and one can fail to arrive at all. Here each conversation's changes are put in order: a change ahead of its turn is held back, and if what is
//! missing does not come in time, it is asked for, to be fetched from the database. A change that came before is dropped.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use contract::id::ConversationId;
use tokio::time::Instant;

/// How long a missing change may take before it is fetched.
pub(super) const PATIENCE: Duration = Duration::from_millis(150);
/// Conversations in which nothing happened for so long are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(30);

/// The lines of all conversations.
#[derive(Debug)]
pub(super) struct Order<T> {
    lines: HashMap<ConversationId, Line<T>>,
}

#[derive(Debug)]
struct Line<T> {
    /// Up to which number everything has been passed on; unknown until the first fetch.
    last: Option<u64>,
    /// Changes ahead of their turn.
    held: BTreeMap<u64, T>,
    /// A number known to exist, of which the change itself may not have come.
    known: u64,
    /// Since when something is missing.
    missing_since: Option<Instant>,
    fetching: bool,
    touched: Instant,
}

/// Something has to be fetched: every change of the conversation after a number, or recent ones where that is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fetch {
    /// Of which conversation.
    pub(super) conversation: ConversationId,
    /// The number up to which all has been passed on.
    pub(super) after: Option<u64>,
    /// The first of those that wait for it.
    pub(super) first: Option<u64>,
}

/// What an offered change led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offered<T> {
    /// These are to be passed on now, in this order; perhaps none.
    Pass(Vec<T>),
    /// Nothing is known of the conversation yet: fetch first.
    Fetch(Fetch),
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { lines: HashMap::new() }
    }
}

impl<T> Order<T> {
    /// Takes a change. `wanted` is false if nobody here is to know: then nothing is passed on, held or fetched.
    pub(super) fn offer(
        &mut self,
        conversation: ConversationId,
        seq: u64,
        change: T,
        wanted: bool,
        now: Instant,
    ) -> Offered<T> {
        let Some(line) = self.lines.get_mut(&conversation) else {
            let mut line = Line::new(now);
            line.known = seq;
            // Before the opening there is nothing.
            if !wanted || seq == 0 {
                line.last = Some(seq);
                self.lines.insert(conversation, line);
                return Offered::Pass(if wanted { vec![change] } else { Vec::new() });
            }
            line.fetching = true;
            line.held.insert(seq, change);
            self.lines.insert(conversation, line);
            return Offered::Fetch(Fetch { conversation, after: None, first: Some(seq) });
        };
        line.touched = now;
        line.known = line.known.max(seq);
        match line.last {
            _ if !wanted && !line.fetching => {
                line.last = line.last.max(Some(seq));
                Offered::Pass(line.next(now))
            }
            Some(last) if seq <= last => Offered::Pass(Vec::new()),
            Some(last) if seq == last + 1 && !line.fetching => {
                line.last = Some(seq);
                let mut pass = vec![change];
                pass.extend(line.next(now));
                Offered::Pass(pass)
            }
            _ => {
                line.held.insert(seq, change);
                if !line.fetching {
                    line.missing_since.get_or_insert(now);
                }
                Offered::Pass(Vec::new())
            }
        }
    }

    /// Takes note that a conversation has reached a number, however one came to know. If the changes do not come, they are fetched.
    pub(super) fn reached(&mut self, conversation: ConversationId, seq: u64, now: Instant) {
        let line = self.lines.entry(conversation).or_insert_with(|| Line::new(now));
        line.known = line.known.max(seq);
        if line.last.is_none_or(|last| last < line.known) && !line.fetching {
            line.missing_since.get_or_insert(now);
        }
    }

    /// A conversation is to be fetched again, missing or not.
    pub(super) fn look_again(&mut self, conversation: ConversationId, now: Instant) {
        let line = self.lines.entry(conversation).or_insert_with(|| Line::new(now));
        line.missing_since.get_or_insert(now);
    }

    /// Everything that has been missing for too long; each is reported once until it was fetched.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Fetch> {
        let mut overdue = Vec::new();
        for (conversation, line) in &mut self.lines {
            if !line.fetching && line.missing_since.is_some_and(|since| now.duration_since(since) >= PATIENCE) {
                line.fetching = true;
                line.missing_since = None;
                let first = line.held.keys().next().copied();
                overdue.push(Fetch { conversation: *conversation, after: line.last, first });
            }
        }
        overdue
    }

    /// Everything up to `seq` has been fetched and passed on; gives what may follow at once.
    pub(super) fn fetched(&mut self, conversation: ConversationId, seq: u64, now: Instant) -> Vec<T> {
        let Some(line) = self.lines.get_mut(&conversation) else { return Vec::new() };
        line.fetching = false;
        line.touched = now;
        line.last = line.last.max(Some(seq));
        line.known = line.known.max(seq);
        line.next(now)
    }

    /// There is no such conversation.
    pub(super) fn forget(&mut self, conversation: ConversationId) {
        self.lines.remove(&conversation);
    }

    /// Fetching failed; it will be tried again.
    pub(super) fn failed(&mut self, conversation: ConversationId, now: Instant) {
        if let Some(line) = self.lines.get_mut(&conversation) {
            line.fetching = false;
            line.missing_since = Some(now);
        }
    }

    /// Forgets conversations in which nothing happens.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.lines.retain(|_, line| {
            line.fetching || line.missing_since.is_some() || now.duration_since(line.touched) < FORGOTTEN_AFTER
        });
    }
}

impl<T> Line<T> {
    fn new(now: Instant) -> Self {
        Self { last: None, held: BTreeMap::new(), known: 0, missing_since: None, fetching: false, touched: now }
    }

    /// Takes out what directly follows what has been passed on.
    fn next(&mut self, now: Instant) -> Vec<T> {
        let Some(mut last) = self.last else { return Vec::new() };
        let mut next = Vec::new();
        while let Some(held) = self.held.first_entry() {
            if *held.key() > last + 1 {
                break;
            }
            if *held.key() == last + 1 {
                last += 1;
                next.push(held.remove());
            } else {
                held.remove();
            }
        }
        self.last = Some(last);
        self.missing_since = if last < self.known { self.missing_since.or(Some(now)) } else { None };
        next
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn known_up_to(last: u64, now: Instant) -> (Order<u64>, ConversationId) {
        let (mut order, here) = (Order::default(), ConversationId::generate());
        order.offer(here, last, last, false, now);
        (order, here)
    }

    fn passed(offered: Offered<u64>) -> Vec<u64> {
        match offered {
            Offered::Pass(changes) => changes,
            Offered::Fetch(fetch) => panic!("wanted to fetch {fetch:?}"),
        }
    }

    #[test]
    fn a_change_ahead_of_its_turn_waits_for_the_one_before() {
        let now = Instant::now();
        let (mut order, here) = known_up_to(4, now);
        assert!(passed(order.offer(here, 6, 6, true, now)).is_empty());
        assert_eq!(passed(order.offer(here, 5, 5, true, now)), [5, 6]);
        assert!(order.overdue(now + PATIENCE).is_empty());
    }

    #[test]
    fn a_change_that_comes_twice_is_passed_on_once() {
        let now = Instant::now();
        let (mut order, here) = known_up_to(4, now);
        assert_eq!(passed(order.offer(here, 5, 5, true, now)), [5]);
        assert!(passed(order.offer(here, 5, 5, true, now)).is_empty());
    }

    #[test]
    fn what_does_not_come_is_fetched_once_patience_has_run_out() {
        let now = Instant::now();
        let (mut order, here) = known_up_to(4, now);
        order.offer(here, 7, 7, true, now);
        assert!(order.overdue(now).is_empty());
        let fetch = Fetch { conversation: here, after: Some(4), first: Some(7) };
        assert_eq!(order.overdue(now + PATIENCE), [fetch]);
        assert!(order.overdue(now + PATIENCE).is_empty(), "one fetch at a time");
        assert!(passed(order.offer(here, 8, 8, true, now)).is_empty(), "held while fetching");
        assert_eq!(order.fetched(here, 7, now), [8]);
    }

    #[test]
    fn a_failed_fetch_is_tried_again() {
        let now = Instant::now();
        let (mut order, here) = known_up_to(4, now);
        order.offer(here, 7, 7, true, now);
        assert_eq!(order.overdue(now + PATIENCE).len(), 1);
        order.failed(here, now + PATIENCE);
        assert_eq!(order.overdue(now + PATIENCE * 2).len(), 1);
    }

    #[test]
    fn an_unknown_conversation_is_looked_up_before_anything_is_passed_on() {
        let (now, here) = (Instant::now(), ConversationId::generate());
        let mut order = Order::default();
        let fetch = Fetch { conversation: here, after: None, first: Some(9) };
        assert_eq!(order.offer(here, 9, 9, true, now), Offered::Fetch(fetch));
        assert!(passed(order.offer(here, 10, 10, true, now)).is_empty());
        assert_eq!(order.fetched(here, 9, now), [10]);
    }

    #[test]
    fn a_number_heard_of_elsewhere_leads_to_a_fetch_unless_the_changes_come() {
        let now = Instant::now();
        let (mut order, here) = known_up_to(4, now);
        order.reached(here, 5, now);
        assert_eq!(passed(order.offer(here, 5, 5, true, now)), [5]);
        assert!(order.overdue(now + PATIENCE).is_empty());
        order.reached(here, 6, now);
        assert_eq!(order.overdue(now + PATIENCE), [Fetch { conversation: here, after: Some(5), first: None }]);
    }

    #[test]
    fn an_opening_is_passed_on_at_once_and_only_once() {
        let (now, here) = (Instant::now(), ConversationId::generate());
        let mut order = Order::default();
        assert_eq!(passed(order.offer(here, 0, 0, true, now)), [0]);
        assert!(passed(order.offer(here, 0, 0, true, now)).is_empty());
        assert_eq!(passed(order.offer(here, 1, 1, true, now)), [1]);
    }

    #[test]
    fn a_change_that_is_nobodys_here_holds_back_none_of_those_behind_it() {
        let now = Instant::now();
        let (mut order, here) = known_up_to(4, now);
        assert!(passed(order.offer(here, 6, 6, true, now)).is_empty());
        assert!(passed(order.offer(here, 8, 8, true, now)).is_empty());
        assert_eq!(passed(order.offer(here, 5, 5, false, now)), [6]);
        assert_eq!(passed(order.offer(here, 7, 7, false, now)), [8]);
        assert!(order.overdue(now + PATIENCE).is_empty());
    }

    #[test]
    fn what_is_looked_at_again_is_fetched_although_nothing_is_missing() {
        let now = Instant::now();
        let (mut order, here) = known_up_to(4, now);
        order.look_again(here, now);
        assert_eq!(order.overdue(now + PATIENCE), [Fetch { conversation: here, after: Some(4), first: None }]);
        assert!(order.fetched(here, 4, now).is_empty());
        assert!(order.overdue(now + PATIENCE * 2).is_empty());
    }

    #[test]
    fn quiet_conversations_are_forgotten_but_not_those_that_miss_something() {
        let now = Instant::now();
        let (mut order, _) = known_up_to(4, now);
        let busy = ConversationId::generate();
        order.reached(busy, 3, now);
        order.tidy(now + FORGOTTEN_AFTER);
        assert_eq!(order.lines.keys().copied().collect::<Vec<_>>(), [busy]);
    }

    proptest! {
        /// However changes are shuffled, repeated and lost: each is passed on exactly once and in order.
        #[test]
        fn everything_is_passed_on_once_and_in_order(
            arrivals in proptest::collection::vec((1_u64..30, 0_u64..60), 0..120),
        ) {
            let mut now = Instant::now();
            let (mut order, here) = known_up_to(0, now);
            let stored = arrivals.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
            let mut out = Vec::new();
            let take = |fetches: Vec<Fetch>, order: &mut Order<u64>, out: &mut Vec<u64>, now| {
                for fetch in fetches {
                    out.extend(fetch.after.unwrap() + 1..=stored);
                    out.extend(order.fetched(fetch.conversation, stored, now));
                }
            };
            for (seq, pause) in arrivals {
                now += Duration::from_millis(pause);
                take(order.overdue(now), &mut order, &mut out, now);
                out.extend(passed(order.offer(here, seq, seq, true, now)));
            }
            now += PATIENCE;
            take(order.overdue(now), &mut order, &mut out, now);
            prop_assert_eq!(out, (1..=stored).collect::<Vec<_>>());
        }
    }
}
