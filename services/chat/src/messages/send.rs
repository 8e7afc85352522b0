//! Sending. Messages that are waiting for the same conversation are written together, in one transaction.
//!
//! Each transaction raises the conversation's number, so transactions of one conversation can only follow one another. What arrives while one is
//! under way goes into the next: the busier a conversation, the larger its batches, and each message is acknowledged once its own batch is
//! stored by a majority.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use contract::id::{ConversationId, MessageId, UserId};
use contract::message::NewMessage;
use contract::problem::FieldError;
use contract::trace::TraceParent;
use runtime::trace;
use tokio::sync::oneshot;

use super::mentions::Mentions;
use super::words::words;
use super::{Inner, MessageError, MessageView, Messages, draft, view};
use crate::crypto::{Binding, Sealed, WrappedKey};
use crate::realtime::Live;
use crate::store::{Prepared, StoreError, StoredConversation, StoredMessage};

/// Most messages of one transaction.
const LARGEST_BATCH: usize = 128;
/// How often a batch is put together anew because a member left or a nonce was taken meanwhile.
const MOST_ATTEMPTS: usize = 8;

type Answer = oneshot::Sender<Result<MessageView, MessageError>>;

/// One message on its way to the store.
pub(super) struct Submission {
    sender: UserId,
    message: NewMessage,
    trace: Option<TraceParent>,
    answer: Answer,
}

/// Messages that no transaction has taken up yet, by conversation, in the order of their arrival.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<ConversationId, VecDeque<Submission>>>);

impl Waiting {
    /// Adds one; true if it is the first, so that somebody has to see to the conversation.
    fn push(&self, conversation: ConversationId, submission: Submission) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = waiting.entry(conversation).or_default();
        queue.push_back(submission);
        queue.len() == 1
    }

    fn take(&self, conversation: ConversationId) -> Vec<Submission> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = waiting.get_mut(&conversation) else { return Vec::new() };
        let batch = queue.drain(..queue.len().min(LARGEST_BATCH)).collect();
        if queue.is_empty() {
            waiting.remove(&conversation);
        }
        batch
    }
}

impl Messages {
    /// Puts a message in its conversation's line; its place there is settled when this returns. The answer follows once it is stored.
    #[must_use]
    pub fn submit(
        &self,
        conversation: ConversationId,
        sender: UserId,
        message: NewMessage,
    ) -> oneshot::Receiver<Result<MessageView, MessageError>> {
        let (answer, answered) = oneshot::channel();
        let faults = draft::faults(&message);
        if !faults.is_empty() {
            let _ = answer.send(Err(MessageError::Invalid(faults)));
            return answered;
        }
        let submission = Submission { sender, message, trace: trace::current(), answer };
        if self.0.waiting.push(conversation, submission) {
            let this = self.clone();
            // A task of its own: a caller that goes away must not take other people's messages with it.
            tokio::spawn(async move { this.0.write_waiting(conversation).await });
        }
        answered
    }
}

impl Inner {
    async fn write_waiting(&self, conversation: ConversationId) {
        loop {
            let turn = self.turns.take(conversation).await;
            let batch = self.waiting.take(conversation);
            if batch.is_empty() {
                return;
            }
            self.write(conversation, batch).await;
            drop(turn);
        }
    }

    async fn write(&self, conversation: ConversationId, batch: Vec<Submission>) {
        let mut open: Vec<Group> = group(batch);
        for _ in 0..MOST_ATTEMPTS {
            match self.attempt(conversation, &mut open).await {
                Ok(()) => return,
                Err(MessageError::Store(error)) if matches!(*error, StoreError::Moved | StoreError::Duplicate) => {}
                Err(error) => return fail(open, &error),
            }
        }
        fail(open, &StoreError::Moved.into());
    }

    /// Answers what can be answered without writing, writes the rest, and answers it. After an error, `open` holds what is unanswered.
    async fn attempt(&self, id: ConversationId, open: &mut Vec<Group>) -> Result<(), MessageError> {
        let Some((conversation, key)) = self.conversation_with_key(id).await? else {
            fail(std::mem::take(open), &MessageError::NoConversation);
            return Ok(());
        };
        let (members, strangers) =
            std::mem::take(open).into_iter().partition(|group| conversation.role_of(group.sender).is_some());
        *open = members;
        fail(strangers, &MessageError::NoConversation);
        self.answer_retries(id, &key, open).await?;
        let threads = self.refuse_lost_replies(id, open).await?;
        if open.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let data_key = self.keys.unwrap(id, &key)?;
        let search_key = data_key.search_key(id);
        let mentions: Vec<Mentions> = open.iter().map(|group| Mentions::of(&group.message.text)).collect();
        let names = mentions.iter().flat_map(|mentions| mentions.names.iter().cloned()).collect();
        let known = self.store.named(&conversation.member_ids(), &names).await?;
        let prepared = open
            .iter()
            .zip(mentions)
            .map(|(Group { sender, message, trace, .. }, mentions)| {
                let message_id = MessageId::new(now, &mut rand::rng());
                let bound = Binding { conversation: id, message: message_id, sender: *sender, revision: 0 };
                Ok(Prepared {
                    id: message_id,
                    sender: *sender,
                    content: Sealed::seal(&data_key, bound, &message.text, &mut rand::rng())?,
                    nonce: message.nonce.clone(),
                    tokens: search_key.tokens(&words(&message.text)),
                    reply_to: message.reply_to,
                    thread_id: message.reply_to.and_then(|reply_to| threads.get(&reply_to).copied()),
                    mention_ids: mentions.members(&conversation, *sender, &known),
                    media_ids: message.media_ids.clone(),
                    trace: *trace,
                })
            })
            .collect::<Result<Vec<_>, MessageError>>()?;
        let online = self.presence.online(&conversation.member_ids()).await;
        let written = self.store.append(id, &prepared, &online, now).await?;
        let live = |message: &StoredMessage| Live::message(&written.conversation, &key, message.clone());
        self.fanout.publish(written.written.iter().map(live).collect());
        self.waker.wake(&id.to_string());
        for (group, message) in std::mem::take(open).into_iter().zip(&written.written) {
            group.answer(&view(&self.keys, &key, message));
        }
        Ok(())
    }

    /// The conversation and its data key, wrapped by the current key-encryption key from now on.
    async fn conversation_with_key(
        &self,
        id: ConversationId,
    ) -> Result<Option<(StoredConversation, WrappedKey)>, MessageError> {
        let Some(conversation) = self.store.conversation(id).await? else { return Ok(None) };
        let Some(key) = conversation.data_key.clone() else { return Ok(None) };
        let Some(rewrapped) = self.keys.rewrap(id, &key)? else { return Ok(Some((conversation, key))) };
        self.store.rewrap(id, &key, &rewrapped).await?;
        Ok(Some((conversation, rewrapped)))
    }

    /// Answers those whose nonce has been used before with the message of then.
    async fn answer_retries(
        &self,
        id: ConversationId,
        key: &WrappedKey,
        open: &mut Vec<Group>,
    ) -> Result<(), MessageError> {
        let nonces = open.iter().filter_map(|group| Some((group.sender, group.message.nonce.as_deref()?)));
        let known = self.store.by_nonces(id, nonces).await?;
        if known.is_empty() {
            return Ok(());
        }
        for group in std::mem::take(open) {
            let same = |m: &&StoredMessage| m.sender_id == group.sender && m.nonce == group.message.nonce;
            match known.iter().find(same) {
                Some(original) if group.message.nonce.is_some() => group.answer(&view(&self.keys, key, original)),
                _ => open.push(group),
            }
        }
        Ok(())
    }

    /// Refuses those that answer a message which is not in this conversation. Gives the threads of what the others answer.
    async fn refuse_lost_replies(
        &self,
        id: ConversationId,
        open: &mut Vec<Group>,
    ) -> Result<BTreeMap<MessageId, MessageId>, MessageError> {
        let threads = self.store.threads(id, open.iter().filter_map(|group| group.message.reply_to)).await?;
        let (good, lost) = std::mem::take(open)
            .into_iter()
            .partition(|group| group.message.reply_to.is_none_or(|reply_to| threads.contains_key(&reply_to)));
        *open = good;
        let fault = FieldError { field: "replyTo".into(), message: "is no message of this conversation".into() };
        fail(lost, &MessageError::Invalid(vec![fault]));
        Ok(threads)
    }
}

/// Submissions that ask for one and the same message: one, or several with the same nonce.
struct Group {
    sender: UserId,
    message: NewMessage,
    trace: Option<TraceParent>,
    answers: Vec<Answer>,
}

impl Group {
    fn answer(self, result: &Result<MessageView, MessageError>) {
        for answer in self.answers {
            // Who asked may have gone; the message is there all the same.
            let _ = answer.send(result.clone());
        }
    }
}

fn group(batch: Vec<Submission>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::with_capacity(batch.len());
    let mut by_nonce = BTreeMap::<(UserId, String), usize>::new();
    for Submission { sender, message, trace, answer } in batch {
        if let Some(nonce) = message.nonce.clone() {
            let place = *by_nonce.entry((sender, nonce)).or_insert(groups.len());
            if let Some(same) = groups.get_mut(place) {
                same.answers.push(answer);
                continue;
            }
        }
        groups.push(Group { sender, message, trace, answers: vec![answer] });
    }
    groups
}

fn fail(groups: Vec<Group>, error: &MessageError) {
    for group in groups {
        group.answer(&Err(error.clone()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn submission(sender: UserId, text: &str, nonce: Option<&str>) -> Submission {
        let message = NewMessage {
            text: text.to_owned(),
            nonce: nonce.map(str::to_owned),
            reply_to: None,
            media_ids: Vec::new(),
        };
        Submission { sender, message, trace: None, answer: oneshot::channel().0 }
    }

    #[test]
    fn a_nonce_repeated_within_a_batch_is_one_message_with_two_answers() {
        let (one, two) = (UserId::generate(), UserId::generate());
        let groups = group(vec![
            submission(one, "a", Some("n")),
            submission(two, "b", Some("n")),
            submission(one, "a again", Some("n")),
            submission(one, "c", None),
            submission(one, "c", None),
        ]);
        let read: Vec<_> = groups.iter().map(|g| (g.message.text.as_str(), g.answers.len())).collect();
        assert_eq!(read, [("a", 2), ("b", 1), ("c", 1), ("c", 1)]);
    }

    #[test]
    fn only_the_first_in_line_has_to_call_for_a_writer() {
        let (waiting, here, user) = (Waiting::default(), ConversationId::generate(), UserId::generate());
        assert!(waiting.push(here, submission(user, "1", None)));
        assert!(!waiting.push(here, submission(user, "2", None)));
        assert!(waiting.push(ConversationId::generate(), submission(user, "1", None)));
        let texts: Vec<_> = waiting.take(here).into_iter().map(|s| s.message.text).collect();
        assert_eq!(texts, ["1", "2"]);
        assert!(waiting.take(here).is_empty());
        assert!(waiting.push(here, submission(user, "3", None)));
    }
}
