//! Messages: sending, changing and reading them.

pub mod draft;
mod mentions;
mod rules;
mod search;
mod send;
mod view;
mod words;

use std::sync::Arc;

use axum::http::StatusCode;
use contract::id::{ConversationId, MessageId, UserId};
use contract::message::NewMessage;
use contract::problem::{FieldError, Problem};
use runtime::clock::Clock;
use runtime::outbox::LaneWaker;
use runtime::trace;

use crate::crypto::{DataKey, Keys, OpenError, Sealed, UnwrapError, WrappedKey};
use crate::realtime::{Fanout, Live, Presence};
use crate::search::{Index, SearchError};
use crate::store::{AsStoreError, Change, PinPlace, Store, StoreError, StoredConversation, StoredMessage, StoredName};
use crate::turns::Turns;
use mentions::Mentions;
use rules::{By, Rewritten};
use send::Waiting;
pub use view::{MessageView, view};
use words::words;

/// Everything that is done with messages. Clones share it.
#[derive(Clone)]
pub struct Messages(Arc<Inner>);

struct Inner {
    store: Store,
    index: Index,
    keys: Keys,
    fanout: Fanout,
    waker: LaneWaker,
    presence: Presence,
    clock: Clock,
    turns: Turns,
    waiting: Waiting,
}

/// Why a message could not be sent, changed or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MessageError {
    /// There is no such conversation, or the caller is not in it; which of the two is nobody's business.
    #[error("no such conversation")]
    NoConversation,
    /// The conversation has no such message.
    #[error("no such message")]
    NoMessage,
    /// The caller is a member, yet may not do this.
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    /// The request has faults.
    #[error("the request has faults")]
    Invalid(Vec<FieldError>),
    /// A deleted message does not change any more.
    #[error("the message is deleted")]
    Deleted,
    /// There is no room for another emoji.
    #[error("too many different reactions")]
    TooManyReactions,
    /// The text has been edited as often as it may be.
    #[error("edited too often")]
    TooManyEdits,
    /// The conversation's key cannot be had.
    #[error(transparent)]
    Key(#[from] UnwrapError),
    /// The stored text does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// Nothing can be looked for.
    #[error(transparent)]
    Search(Arc<SearchError>),
    /// The work was given up because the process is ending.
    #[error("given up half-way")]
    Interrupted,
}

/// What is done to a message that is there.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A new text.
    Text(String),
    /// Removal.
    Delete,
    /// One more reaction of the caller's.
    React(String),
    /// One less.
    Unreact(String),
    /// Pinned, or not any more.
    Pin(bool),
}

impl Messages {
    /// Over the given store, in whose messages `index` finds; `waker` is that of the outbox of messages.
    #[must_use]
    pub fn new(
        (store, index): (Store, Index),
        keys: Keys,
        live: (Fanout, Presence),
        waker: LaneWaker,
        clock: Clock,
        turns: Turns,
    ) -> Self {
        let (fanout, presence) = live;
        Self(Arc::new(Inner { store, index, keys, fanout, waker, presence, clock, turns, waiting: Waiting::default() }))
    }

    /// Stores a message and returns it as it is read. A nonce that the sender has used here before returns the message of then.
    pub async fn send(
        &self,
        conversation: ConversationId,
        sender: UserId,
        message: NewMessage,
    ) -> Result<MessageView, MessageError> {
        self.submit(conversation, sender, message).await.map_err(|_| MessageError::Interrupted)?
    }

    /// Changes a message and returns it as it is then read. Doing what has already been done is no fault and changes nothing.
    pub async fn edit(
        &self,
        conversation: ConversationId,
        message: MessageId,
        user: UserId,
        edit: Edit,
    ) -> Result<MessageView, MessageError> {
        let Inner { store, keys, fanout, waker, clock, turns, .. } = &*self.0;
        let fault = match &edit {
            Edit::Text(text) => draft::text_fault(text),
            Edit::React(emoji) | Edit::Unreact(emoji) => draft::emoji_fault(emoji),
            Edit::Delete | Edit::Pin(_) => None,
        };
        if let Some(fault) = fault {
            return Err(MessageError::Invalid(vec![fault]));
        }
        let (found, key) = self.conversation_for(conversation, user).await?;
        let text = match &edit {
            Edit::Text(text) => Some(NewText::prepare(store, keys.unwrap(conversation, &key)?, &found, text).await?),
            _ => None,
        };
        let now = clock.now();
        let mut as_it_was = None;
        let decide = |conversation: Option<&StoredConversation>, message: Option<StoredMessage>, seq| {
            let conversation = conversation.ok_or(MessageError::NoConversation)?;
            let role = conversation.role_of(user).ok_or(MessageError::NoConversation)?;
            let message = message.ok_or(MessageError::NoMessage)?;
            as_it_was = Some(message.clone());
            let by = By { user, role, now, seq };
            match (&edit, &text) {
                (Edit::Text(_), Some(text)) => rules::edited(&message, by, |next| text.rewrite(next, conversation)),
                (Edit::Delete, _) => rules::deleted(message, by),
                (Edit::React(emoji), _) => rules::reacted(message, emoji, by),
                (Edit::Unreact(emoji), _) => rules::unreacted(message, emoji, by),
                (Edit::Pin(pinned), _) => rules::pinned(message, *pinned, by),
                (Edit::Text(_), None) => Ok(Change::Nothing),
            }
        };
        let turn = turns.take(conversation).await;
        let changed = store.change(conversation, message, now, trace::current(), decide).await?;
        if let Some(written) = &changed {
            if !written.written.outbox.is_empty() {
                waker.wake(&conversation.to_string());
            }
            fanout.publish(vec![Live::message(&written.conversation, &key, written.written.clone())]);
        }
        drop(turn);
        let message = changed.map(|written| written.written).or(as_it_was).ok_or(MessageError::NoMessage)?;
        view(keys, &key, &message)
    }

    /// Messages before a place, newest first; one more than `limit` if there are more.
    pub async fn history(
        &self,
        conversation: ConversationId,
        reader: UserId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<MessageView>, MessageError> {
        let (_, key) = self.conversation_for(conversation, reader).await?;
        let found = self.0.store.history(conversation, before, limit).await?;
        self.views(&key, &found)
    }

    /// Messages changed after a number, oldest change first; one more than `limit` if there are more.
    pub async fn changes(
        &self,
        conversation: ConversationId,
        reader: UserId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<MessageView>, MessageError> {
        let (_, key) = self.conversation_for(conversation, reader).await?;
        let found = self.0.store.changes(conversation, after, limit).await?;
        self.views(&key, &found)
    }

    /// One message.
    pub async fn get(
        &self,
        conversation: ConversationId,
        reader: UserId,
        id: MessageId,
    ) -> Result<MessageView, MessageError> {
        let (_, key) = self.conversation_for(conversation, reader).await?;
        let found = self.0.store.message(conversation, id).await?.ok_or(MessageError::NoMessage)?;
        view(&self.0.keys, &key, &found)
    }

    /// The answers in the thread of a message, those with a place before `before`, newest first; at most `limit`.
    pub async fn thread(
        &self,
        conversation: ConversationId,
        reader: UserId,
        message: MessageId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<MessageView>, MessageError> {
        let (_, key) = self.conversation_for(conversation, reader).await?;
        let store = &self.0.store;
        let thread = store.message(conversation, message).await?.ok_or(MessageError::NoMessage)?.thread();
        let found = store.thread(conversation, thread, before, limit).await?;
        self.views(&key, &found)
    }

    /// Pinned messages, those last pinned first, from behind a place on; at most `limit`.
    pub async fn pins(
        &self,
        conversation: ConversationId,
        reader: UserId,
        behind: Option<PinPlace>,
        limit: usize,
    ) -> Result<Vec<MessageView>, MessageError> {
        let (_, key) = self.conversation_for(conversation, reader).await?;
        let found = self.0.store.pins(conversation, behind, limit).await?;
        self.views(&key, &found)
    }

    /// Messages changed after each cursor, for those of the conversations that the reader is in. At most `limit` for each, and the
    /// conversations that have more.
    pub async fn resume(
        &self,
        reader: UserId,
        cursors: &[(ConversationId, u64)],
        limit: usize,
    ) -> Result<Resumed, MessageError> {
        let ids = cursors.iter().map(|(id, _)| *id);
        let mine = self.0.store.conversations_of(ids, reader).await?;
        let mut resumed = Resumed::default();
        for (id, after) in cursors {
            let Some(conversation) = mine.iter().find(|conversation| conversation.id == *id) else { continue };
            let Some(key) = &conversation.data_key else { continue };
            if conversation.seq <= *after {
                continue;
            }
            let mut found = self.0.store.changes(*id, *after, limit + 1).await?;
            if found.len() > limit {
                found.truncate(limit);
                resumed.more.push(*id);
            }
            if !found.is_empty() {
                resumed.changes.push((*id, self.views(key, &found)?));
            }
        }
        Ok(resumed)
    }

    async fn conversation_for(
        &self,
        id: ConversationId,
        member: UserId,
    ) -> Result<(StoredConversation, WrappedKey), MessageError> {
        let found = self.0.store.conversation_of(id, member).await?.ok_or(MessageError::NoConversation)?;
        let key = found.data_key.clone().ok_or(MessageError::NoConversation)?;
        Ok((found, key))
    }

    fn views(&self, key: &WrappedKey, stored: &[StoredMessage]) -> Result<Vec<MessageView>, MessageError> {
        stored.iter().map(|message| view(&self.0.keys, key, message)).collect()
    }
}

/// What a reader who was away has missed.
#[derive(Clone, Debug, Default)]
pub struct Resumed {
    /// By conversation, oldest change first.
    pub changes: Vec<(ConversationId, Vec<MessageView>)>,
    /// Conversations in which there is more than was given.
    pub more: Vec<ConversationId>,
}

/// A text on its way into a message that is there.
struct NewText<'a> {
    key: DataKey,
    text: &'a str,
    mentions: Mentions,
    /// Who of the members has a name that it mentions.
    known: Vec<StoredName>,
}

impl<'a> NewText<'a> {
    async fn prepare(
        store: &Store,
        key: DataKey,
        conversation: &StoredConversation,
        text: &'a str,
    ) -> Result<Self, StoreError> {
        let mentions = Mentions::of(text);
        let known = store.named(&conversation.member_ids(), &mentions.names).await?;
        Ok(Self { key, text, mentions, known })
    }

    /// Seals it for the message as it will be.
    fn rewrite(&self, next: &StoredMessage, conversation: &StoredConversation) -> Result<Rewritten, MessageError> {
        Ok(Rewritten {
            content: Sealed::seal(&self.key, next.binding(), self.text, &mut rand::rng())?,
            tokens: self.key.search_key(next.conversation_id).tokens(&words(self.text)),
            mention_ids: self.mentions.members(conversation, next.sender_id, &self.known),
        })
    }
}

impl From<StoreError> for MessageError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<SearchError> for MessageError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Store(error) => error.into(),
            error => Self::Search(Arc::new(error)),
        }
    }
}

impl AsStoreError for MessageError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<MessageError> for Problem {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::NoConversation => Self::not_found("You are in no such conversation."),
            MessageError::NoMessage => Self::not_found("The conversation has no such message."),
            MessageError::Forbidden(detail) => Self::forbidden(detail),
            MessageError::Invalid(errors) => Self { errors, ..Self::validation_failed() },
            MessageError::Deleted => Self::conflict("The message has been deleted."),
            MessageError::TooManyReactions => {
                let detail = format!("A message takes at most {} different reactions.", rules::MOST_REACTIONS);
                Self::new(StatusCode::CONFLICT, "too-many-reactions", "There are too many reactions").detail(detail)
            }
            MessageError::TooManyEdits => {
                let detail = format!("A message may be edited {} times.", rules::MOST_EDITS);
                Self::new(StatusCode::CONFLICT, "too-many-edits", "There are too many edits").detail(detail)
            }
            MessageError::Key(_) | MessageError::Open(_) => Self::internal(),
            MessageError::Search(error) if matches!(*error, SearchError::InTheMaking) => {
                Self::unavailable("The index for search is being made. Try again in a while; all else works.")
            }
            MessageError::Search(_) => {
                Self::unavailable("Search does not answer. Try again in a while; all else works.")
            }
            MessageError::Store(_) | MessageError::Interrupted => {
                Self::unavailable("The message store does not answer. Try again with the same nonce.")
            }
        }
    }
}
