//! What writers were promised, and how that compares with what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::scenarios::people::text;

/// A message as REST shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) seq: u64,
    pub(crate) text: String,
}

impl Message {
    pub(crate) fn read(message: &Value) -> Result<Self> {
        let seq = message["seq"].as_u64().with_context(|| format!("no number seq in {message}"))?;
        Ok(Self { id: text(message, "id")?, seq, text: text(message, "text")? })
    }
}

/// A message that somebody was told is stored.
pub(super) struct Acknowledged {
    room: usize,
    writer: String,
    message: Message,
    at: Instant,
}

/// Everything that writers know, in the order in which they came to know it.
#[derive(Default)]
pub(super) struct Ledger {
    acknowledged: Vec<Acknowledged>,
    /// What may or may not have been stored: nobody was told.
    unanswered: Vec<(usize, String)>,
    repeated: usize,
    last_failure: String,
    refusal: Option<String>,
}

impl Ledger {
    pub(super) fn acknowledge(&mut self, room: usize, writer: &str, message: Message, at: Instant) {
        self.acknowledged.push(Acknowledged { room, writer: writer.to_owned(), message, at });
    }

    /// An attempt failed, and will be repeated.
    pub(super) fn fail(&mut self, why: String) {
        self.repeated += 1;
        self.last_failure = why;
    }

    pub(super) fn refuse(&mut self, room: usize, text: &str, why: String) {
        self.unanswered.push((room, text.to_owned()));
        self.refusal.get_or_insert(why);
    }

    pub(super) fn give_up(&mut self, room: usize, text: &str) {
        self.unanswered.push((room, text.to_owned()));
    }

    pub(super) fn acknowledged(&self) -> &[Acknowledged] {
        &self.acknowledged
    }

    pub(super) fn repeated(&self) -> usize {
        self.repeated
    }

    pub(super) fn last_failure(&self) -> &str {
        if self.last_failure.is_empty() { "there was none" } else { &self.last_failure }
    }

    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// What is wrong with the history of a conversation, oldest first.
    pub(super) fn faults(&self, room: usize, history: &[Message]) -> Vec<String> {
        let promised: Vec<&Acknowledged> = self.acknowledged.iter().filter(|entry| entry.room == room).collect();
        let by_id: BTreeMap<&str, &Message> = history.iter().map(|message| (message.id.as_str(), message)).collect();
        let mut faults = Vec::new();

        let mut last_of: BTreeMap<&str, u64> = BTreeMap::new();
        for Acknowledged { writer, message, .. } in &promised {
            match by_id.get(message.id.as_str()) {
                None => faults.push(format!("{message:?} is missing")),
                Some(found) if *found != message => faults.push(format!("{message:?} reads {found:?}")),
                Some(_) => {}
            }
            // A writer sends the next message once the one before is acknowledged.
            if let Some(before) = last_of.insert(writer, message.seq)
                && before >= message.seq
            {
                faults.push(format!("{message:?} was sent after number {before} of the same writer"));
            }
        }

        let known: BTreeSet<&str> = promised.iter().map(|entry| entry.message.id.as_str()).collect();
        let unanswered: BTreeSet<&str> =
            self.unanswered.iter().filter(|(at, _)| *at == room).map(|(_, text)| text.as_str()).collect();
        let mut texts = BTreeSet::new();
        for message in history {
            if !texts.insert(message.text.as_str()) {
                faults.push(format!("{message:?} is there twice"));
            } else if !known.contains(message.id.as_str()) && !unanswered.contains(message.text.as_str()) {
                faults.push(format!("{message:?} is there, and nobody was told"));
            }
        }
        for (before, after) in history.iter().zip(history.iter().skip(1)) {
            if before.seq + 1 != after.seq {
                faults.push(format!("number {} follows number {}", after.seq, before.seq));
            }
        }
        faults
    }

    /// When each message was acknowledged.
    pub(super) fn times(&self) -> Vec<Instant> {
        self.acknowledged.iter().map(|entry| entry.at).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn message(seq: u64) -> Message {
        Message { id: format!("id-{seq}"), seq, text: format!("text {seq}") }
    }

    /// Two writers in one conversation, each with every other number up to `last`.
    fn ledger(last: u64) -> Ledger {
        let mut ledger = Ledger::default();
        for seq in 1..=last {
            ledger.acknowledge(0, ["ada", "ben"][usize::try_from(seq % 2).unwrap()], message(seq), Instant::now());
        }
        ledger
    }

    fn history(numbers: impl IntoIterator<Item = u64>) -> Vec<Message> {
        numbers.into_iter().map(message).collect()
    }

    #[test]
    fn what_is_there_as_promised_is_no_fault() {
        let mut ledger = ledger(5);
        assert_eq!(ledger.faults(0, &history(1..=5)), [""; 0]);
        // Of another conversation.
        ledger.acknowledge(1, "eve", message(1), Instant::now());
        assert_eq!(ledger.faults(0, &history(1..=5)), [""; 0]);
    }

    #[test]
    fn a_message_that_was_acknowledged_and_is_missing_is_a_fault() {
        let faults = ledger(5).faults(0, &history(1..=4));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("id-5") && faults[0].ends_with("is missing"), "{faults:?}");
    }

    #[test]
    fn a_message_that_reads_differently_or_stands_elsewhere_is_a_fault() {
        let mut found = history(1..=3);
        found[1].text = "something else".to_owned();
        assert!(ledger(3).faults(0, &found)[0].contains("reads"));
        let mut found = history(1..=3);
        found[2].seq = 4;
        let faults = ledger(3).faults(0, &found);
        assert!(faults.iter().any(|fault| fault == "number 4 follows number 2"), "{faults:?}");
    }

    #[test]
    fn a_message_that_is_there_twice_is_a_fault() {
        let mut found = history(1..=3);
        found.push(Message { id: "another".to_owned(), seq: 4, ..message(3) });
        assert!(ledger(3).faults(0, &found)[0].ends_with("is there twice"));
    }

    #[test]
    fn only_what_a_writer_gave_up_may_be_there_without_a_promise() {
        let mut ledger = ledger(3);
        assert!(ledger.faults(0, &history(1..=4))[0].ends_with("nobody was told"));
        ledger.give_up(0, "text 4");
        assert_eq!(ledger.faults(0, &history(1..=4)), [""; 0]);
        assert_eq!(ledger.faults(0, &history(1..=3)), [""; 0]);
    }

    #[test]
    fn a_writers_later_message_must_not_stand_before_the_earlier_one() {
        let mut ledger = Ledger::default();
        for seq in [2, 1] {
            ledger.acknowledge(0, "ada", message(seq), Instant::now());
        }
        assert!(ledger.faults(0, &history(1..=2))[0].contains("of the same writer"));
    }

    #[test]
    fn a_message_is_read_from_what_rest_shows() {
        let shown = json!({"id": "m", "seq": 3, "text": "hello", "senderId": "s"});
        assert_eq!(Message::read(&shown).unwrap(), Message { id: "m".into(), seq: 3, text: "hello".into() });
        assert!(Message::read(&json!({"id": "m", "text": "hello"})).is_err());
    }
}
