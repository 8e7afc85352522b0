//! Messages: how they are appended, changed and read.
//!
//! A sequence number is taken by raising the conversation's `seq` in the same transaction that writes the message. Two transactions that raise
//! it conflict, and one of them runs again; so numbers become visible in their order, and a reader who has seen `n` has seen all below it.

use std::collections::{BTreeMap, HashSet};

use contract::event::{Envelope, Event, MessageCreated};
use contract::id::{ConversationId, MediaId, MessageId, UserId};
use contract::trace::TraceParent;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::ClientSession;
use mongodb::bson::{Binary, Document, doc};
use mongodb::options::ReturnDocument;
use runtime::outbox::lane_of;
use serde::{Deserialize, Serialize};

use super::transaction::{AsStoreError, Work, transact};
use super::{Store, StoreError, StoredConversation, StoredMessage, duplicate_or, int, int_limit, time};
use crate::SOURCE;
use crate::crypto::Sealed;

/// To how many unread messages are counted. Whoever has more reads from the end, not to the number.
pub const MOST_COUNTED: u64 = 1_000;

/// A place in a list of pinned messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinPlace {
    /// When the message was pinned.
    pub at: Timestamp,
    /// Which message.
    pub id: MessageId,
}

/// A message that has all but its sequence number.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its id, which its text is already bound to.
    pub id: MessageId,
    /// Who sends it.
    pub sender: UserId,
    /// Its text.
    pub content: Sealed,
    /// What a retry is recognised by.
    pub nonce: Option<String>,
    /// What its words are found by.
    pub tokens: Vec<Binary>,
    /// What it answers.
    pub reply_to: Option<MessageId>,
    /// The first message of the thread that it belongs to.
    pub thread_id: Option<MessageId>,
    /// The members whom it mentions.
    pub mention_ids: Vec<UserId>,
    /// Files that belong to it.
    pub media_ids: Vec<MediaId>,
    /// The trace of its request.
    pub trace: Option<TraceParent>,
}

/// Messages as they have just been written, and their conversation after that.
#[derive(Clone, Debug)]
pub struct Written<M> {
    /// The conversation with its new `seq`.
    pub conversation: StoredConversation,
    /// What was written.
    pub written: M,
}

/// What a look at a message led to.
#[derive(Debug)]
pub enum Change {
    /// It is already as it should be.
    Nothing,
    /// It shall read so from now on; the event, if any, goes to its outbox.
    To(Box<StoredMessage>, Option<Event>),
}

impl Store {
    /// Appends messages to a conversation in their order, in one transaction.
    ///
    /// # Errors
    /// `Moved` if a sender is no member (any more), `Duplicate` if a nonce is taken: nothing was written, look again.
    pub async fn append(
        &self,
        conversation: ConversationId,
        prepared: &[Prepared],
        online: &[UserId],
        now: Timestamp,
    ) -> Result<Written<Vec<StoredMessage>>, StoreError> {
        let senders: HashSet<UserId> = prepared.iter().map(|message| message.sender).collect();
        let senders: Vec<String> = senders.into_iter().map(String::from).collect();
        let filter = doc! {"_id": conversation.to_string(), "members.userId": {"$all": senders}};
        let mut work = Append { store: self, filter, prepared, online, now };
        transact(self.messages.database(), &mut work).await
    }

    /// Looks at a message and its conversation and, if `decide` says so, gives the message a new form under the next sequence number.
    /// `decide` may be asked several times. It gets the number and sets nothing but what the change is about.
    pub async fn change<F, E>(
        &self,
        conversation: ConversationId,
        message: MessageId,
        now: Timestamp,
        trace: Option<TraceParent>,
        decide: F,
    ) -> Result<Option<Written<StoredMessage>>, E>
    where
        F: FnMut(Option<&StoredConversation>, Option<StoredMessage>, u64) -> Result<Change, E> + Send,
        E: From<StoreError> + AsStoreError + Send,
    {
        let mut work = Alter { store: self, conversation, message, now, trace, decide };
        transact(self.messages.database(), &mut work).await
    }

    /// Messages with a place before `before` (from the end if absent), newest first.
    pub async fn history(
        &self,
        conversation: ConversationId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut filter = doc! {"conversationId": conversation.to_string()};
        if let Some(before) = before {
            filter.insert("seq", doc! {"$lt": int(before)});
        }
        self.find_messages(filter, doc! {"seq": -1}, limit).await
    }

    /// Messages whose last change has a number above `after`, oldest change first.
    pub async fn changes(
        &self,
        conversation: ConversationId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let filter = doc! {"conversationId": conversation.to_string(), "changeSeq": {"$gt": int(after)}};
        self.find_messages(filter, doc! {"changeSeq": 1}, limit).await
    }

    /// The number of the last change made before `since`; 0 if there is none.
    pub async fn seq_before(&self, conversation: ConversationId, since: Timestamp) -> Result<u64, StoreError> {
        let filter = doc! {"conversationId": conversation.to_string(), "changedAt": {"$lt": time::date(since)}};
        let last = self.find_messages(filter, doc! {"changeSeq": -1}, 1).await?;
        Ok(last.first().map_or(0, |message| message.change_seq))
    }

    /// Those messages that were sent with these nonces by these senders.
    pub async fn by_nonces(
        &self,
        conversation: ConversationId,
        nonces: impl IntoIterator<Item = (UserId, &str)>,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut by_sender = BTreeMap::<UserId, Vec<&str>>::new();
        for (sender, nonce) in nonces {
            by_sender.entry(sender).or_default().push(nonce);
        }
        if by_sender.is_empty() {
            return Ok(Vec::new());
        }
        let any: Vec<Document> = by_sender
            .into_iter()
            .map(|(sender, nonces)| {
                doc! {"conversationId": conversation.to_string(), "senderId": sender.to_string(), "nonce": {"$in": nonces}}
            })
            .collect();
        Ok(self.messages.now().find(doc! {"$or": any}).await?.try_collect().await?)
    }

    /// The threads of those of these messages that exist in the conversation.
    pub async fn threads(
        &self,
        conversation: ConversationId,
        ids: impl IntoIterator<Item = MessageId>,
    ) -> Result<BTreeMap<MessageId, MessageId>, StoreError> {
        let ids: Vec<String> = ids.into_iter().map(String::from).collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let filter = doc! {"_id": {"$in": ids}, "conversationId": conversation.to_string()};
        let found: Vec<StoredMessage> = self.messages.now().find(filter).await?.try_collect().await?;
        Ok(found.into_iter().map(|message| (message.id, message.thread())).collect())
    }

    /// The message of an id, if it is in the conversation.
    pub async fn message(
        &self,
        conversation: ConversationId,
        id: MessageId,
    ) -> Result<Option<StoredMessage>, StoreError> {
        let filter = doc! {"_id": id.to_string(), "conversationId": conversation.to_string()};
        Ok(self.messages.now().find_one(filter).await?)
    }

    /// Answers within a thread with a place before `before` (from the end if absent), newest first.
    pub async fn thread(
        &self,
        conversation: ConversationId,
        thread: MessageId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut filter = doc! {"conversationId": conversation.to_string(), "threadId": thread.to_string()};
        if let Some(before) = before {
            filter.insert("seq", doc! {"$lt": int(before)});
        }
        self.find_messages(filter, doc! {"seq": -1}, limit).await
    }

    /// Pinned messages, those last pinned first, from behind a place on.
    pub async fn pins(
        &self,
        conversation: ConversationId,
        behind: Option<PinPlace>,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut filter = doc! {"conversationId": conversation.to_string(), "pin": {"$exists": true}};
        if let Some(PinPlace { at, id }) = behind {
            let at = time::date(at);
            let any = [doc! {"pin.at": {"$lt": at}}, doc! {"pin.at": at, "_id": {"$lt": id.to_string()}}];
            filter.insert("$or", any.to_vec());
        }
        self.find_messages(filter, doc! {"pin.at": -1, "_id": -1}, limit).await
    }

    /// How many messages of others a reader has beyond their mark, and how many of them mention the reader; counted to [`MOST_COUNTED`].
    pub async fn unread(
        &self,
        conversation: ConversationId,
        reader: UserId,
        mark: u64,
    ) -> Result<(u64, u64), StoreError> {
        let unread = doc! {
            "conversationId": conversation.to_string(),
            "seq": {"$gt": int(mark)},
            "senderId": {"$ne": reader.to_string()},
            "deletedAt": {"$exists": false},
        };
        let mut mentions = unread.clone();
        mentions.insert("mentionIds", reader.to_string());
        let all = self.messages.now().count_documents(unread).limit(MOST_COUNTED).await?;
        if all == 0 {
            return Ok((0, 0));
        }
        Ok((all, self.messages.now().count_documents(mentions).limit(MOST_COUNTED).await?))
    }

    pub(super) async fn find_messages(
        &self,
        filter: Document,
        sort: Document,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        Ok(self.messages.now().find(filter).sort(sort).limit(int_limit(limit)).await?.try_collect().await?)
    }
}

struct Append<'a> {
    store: &'a Store,
    filter: Document,
    prepared: &'a [Prepared],
    online: &'a [UserId],
    now: Timestamp,
}

impl Work for Append<'_> {
    type Output = Written<Vec<StoredMessage>>;
    type Error = StoreError;

    async fn run(&mut self, session: &mut ClientSession) -> Result<Self::Output, StoreError> {
        let now = time::date(self.now);
        let count = i64::try_from(self.prepared.len()).unwrap_or(i64::MAX);
        let online: Vec<String> = self.online.iter().map(ToString::to_string).collect();
        let absent = doc! {"$setDifference": ["$members.userId", online]};
        let conversation = self
            .store
            .conversations
            .within(session)
            .find_one_and_update(
                self.filter.clone(),
                vec![doc! {"$set": {
                    "seq": {"$add": ["$seq", count]},
                    "lastMessageAt": now,
                    "activityAt": now,
                    "changedAt": now,
                    "missed": {"$setUnion": [{"$ifNull": ["$missed", []]}, absent]},
                }}],
            )
            .return_document(ReturnDocument::After)
            .session(&mut *session)
            .await?
            .ok_or(StoreError::Moved)?;
        let first = conversation.seq + 1 - self.prepared.len() as u64;
        let messages: Vec<StoredMessage> =
            (first..).zip(self.prepared).map(|(seq, message)| self.stored(message, seq, &conversation)).collect();
        self.store.messages.within(session).insert_many(&messages).session(session).await.map_err(duplicate_or)?;
        Ok(Written { conversation, written: messages })
    }
}

impl Append<'_> {
    fn muted(&self, conversation: &StoredConversation) -> Vec<UserId> {
        let muted = |user: &UserId| conversation.mute_of(*user, self.now).is_some();
        conversation.member_ids().into_iter().filter(muted).collect()
    }

    fn stored(&self, message: &Prepared, seq: u64, conversation: &StoredConversation) -> StoredMessage {
        let event = MessageCreated {
            conversation_id: conversation.id,
            message_id: message.id,
            seq,
            sender_id: message.sender,
            created_at: self.now,
            member_ids: conversation.member_ids(),
            online_member_ids: self.online.to_vec(),
            mention_ids: message.mention_ids.clone(),
            muted_member_ids: self.muted(conversation),
        };
        StoredMessage {
            id: message.id,
            conversation_id: conversation.id,
            seq,
            change_seq: seq,
            sender_id: message.sender,
            content: Some(message.content.clone()),
            revision: 0,
            tokens: message.tokens.clone(),
            created_at: self.now,
            changed_at: self.now,
            edited_at: None,
            deleted_at: None,
            reply_to: message.reply_to,
            thread_id: message.thread_id,
            mention_ids: message.mention_ids.clone(),
            media_ids: message.media_ids.clone(),
            nonce: message.nonce.clone(),
            reactions: Vec::new(),
            pin: None,
            outbox_lane: lane_of(&conversation.id.to_string()),
            outbox: vec![Envelope::new(SOURCE, event.into(), message.trace, self.now, &mut rand::rng())],
        }
    }
}

struct Alter<'a, F> {
    store: &'a Store,
    conversation: ConversationId,
    message: MessageId,
    now: Timestamp,
    trace: Option<TraceParent>,
    decide: F,
}

impl<F, E> Work for Alter<'_, F>
where
    F: FnMut(Option<&StoredConversation>, Option<StoredMessage>, u64) -> Result<Change, E> + Send,
    E: From<StoreError> + AsStoreError + Send,
{
    type Output = Option<Written<StoredMessage>>;
    type Error = E;

    async fn run(&mut self, session: &mut ClientSession) -> Result<Self::Output, E> {
        let (conversations, messages) = (self.store.conversations.within(session), self.store.messages.within(session));
        let this_one = doc! {"_id": self.conversation.to_string()};
        let conversation =
            conversations.find_one(this_one.clone()).session(&mut *session).await.map_err(StoreError::from)?;
        let that_one = doc! {"_id": self.message.to_string(), "conversationId": self.conversation.to_string()};
        let message = messages.find_one(that_one.clone()).session(&mut *session).await.map_err(StoreError::from)?;
        let seq = conversation.as_ref().map_or(0, |conversation| conversation.seq) + 1;
        let change = (self.decide)(conversation.as_ref(), message, seq)?;
        let (Some(mut conversation), Change::To(mut message, event)) = (conversation, change) else {
            return Ok(None);
        };
        message.change_seq = seq;
        message.changed_at = self.now;
        message.outbox.extend(event.map(|event| Envelope::new(SOURCE, event, self.trace, self.now, &mut rand::rng())));
        conversation.seq = seq;
        conversation.changed_at = self.now;
        conversations
            .update_one(this_one, doc! {"$set": {"seq": int(seq), "changedAt": time::date(self.now)}})
            .session(&mut *session)
            .await
            .map_err(StoreError::from)?;
        messages.replace_one(that_one, &*message).session(session).await.map_err(StoreError::from)?;
        Ok(Some(Written { conversation, written: *message }))
    }
}
