//! Conversations: opening, finding, changing them, and how far each member has read.

mod rules;

use std::sync::Arc;

use axum::http::StatusCode;
use contract::conversation::{Conversation, MemberRole, Mute, NewConversation, Own};
use contract::event::{ConversationRead, Envelope};
use contract::id::{ConversationId, UserId};
use contract::problem::{FieldError, Problem};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use runtime::clock::Clock;
use runtime::outbox::Waker;
use runtime::trace;

use crate::SOURCE;
use crate::crypto::{Keys, UnwrapError};
use crate::realtime::{Fanout, Live};
use crate::store::{Activity, Alteration, AsStoreError, Found, Store, StoreError, StoredConversation, StoredMute};
use crate::turns::Turns;

/// So many conversations of a list are counted at a time.
const AT_ONCE: usize = 8;

/// Everything that is done with conversations. Clones share it.
#[derive(Clone)]
pub struct Conversations(Arc<Inner>);

struct Inner {
    store: Store,
    keys: Keys,
    fanout: Fanout,
    waker: Waker,
    clock: Clock,
    turns: Turns,
}

/// Why something could not be done with a conversation.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// There is no such conversation, or the caller is not in it; which of the two is nobody's business.
    #[error("no such conversation")]
    NotFound,
    /// The user is not a member.
    #[error("no such member")]
    NoMember,
    /// The caller is a member, yet may not do this.
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    /// The request has faults.
    #[error("the request has faults")]
    Invalid(Vec<FieldError>),
    /// The group takes no more members.
    #[error("the group is full")]
    Full,
    /// No key to wrap the conversation's data key by.
    #[error(transparent)]
    Key(#[from] UnwrapError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A conversation that was asked for, and whether it is new.
#[derive(Clone, Debug)]
pub struct Opened {
    /// As the caller sees it.
    pub conversation: Conversation,
    /// False if it was there before.
    pub created: bool,
}

/// What is done to a conversation that is there.
#[derive(Clone, Debug)]
pub enum Revision {
    /// Another title, or none.
    Rename(Option<String>),
    /// More members.
    Add(Vec<UserId>, MemberRole),
    /// Another role for a member.
    Promote(UserId, MemberRole),
    /// One member less, who may be the caller.
    Remove(UserId),
    /// The end.
    Delete,
}

impl Conversations {
    /// Over the given store; `waker` is that of the outbox of conversations.
    #[must_use]
    pub fn new(store: Store, keys: Keys, fanout: Fanout, waker: Waker, clock: Clock, turns: Turns) -> Self {
        Self(Arc::new(Inner { store, keys, fanout, waker, clock, turns }))
    }

    /// Opens a conversation. A pair has one direct conversation; a group asked for twice with the same key is one group.
    pub async fn open(
        &self,
        wish: NewConversation,
        creator: UserId,
        creation_key: Option<String>,
    ) -> Result<Opened, ConversationError> {
        let Inner { store, keys, fanout, waker, clock, .. } = &*self.0;
        let now = clock.now();
        let id = ConversationId::new(now, &mut rand::rng());
        let mut conversation = rules::opened(wish, creator, creation_key, id, now)?;
        conversation.data_key = Some(keys.create(id)?);
        let created = rules::created(&conversation);
        conversation.outbox.push(Envelope::new(SOURCE, created, trace::current(), now, &mut rand::rng()));
        match store.create(conversation).await? {
            Found::Created(conversation) => {
                waker.wake(id.to_string());
                let view = Conversation { own: Some(Own::default()), ..conversation.view() };
                let everybody = conversation.member_ids();
                fanout.publish(vec![Live::conversation(conversation, everybody, Vec::new())]);
                Ok(Opened { conversation: view, created: true })
            }
            Found::Existing(conversation) => {
                Ok(Opened { conversation: self.seen_by(&conversation, creator).await?, created: false })
            }
        }
    }

    /// The conversation, if the user is in it.
    pub async fn get(&self, id: ConversationId, user: UserId) -> Result<Conversation, ConversationError> {
        let found = self.0.store.conversation_of(id, user).await?.ok_or(ConversationError::NotFound)?;
        Ok(self.seen_by(&found, user).await?)
    }

    /// The user's conversations, the liveliest first, each with its place in the list.
    pub async fn list(
        &self,
        user: UserId,
        after: Option<Activity>,
        limit: usize,
    ) -> Result<Vec<(Activity, Conversation)>, ConversationError> {
        let found = self.0.store.list(user, after, limit).await?;
        let seen = stream::iter(found).map(|conversation| {
            let this = self.clone();
            async move {
                let place = Activity { at: conversation.activity_at, id: conversation.id };
                Ok((place, this.seen_by(&conversation, user).await?))
            }
        });
        seen.buffered(AT_ONCE).try_collect().await
    }

    /// Changes a conversation and returns it as it then is. Doing what has already been done changes nothing.
    pub async fn revise(
        &self,
        id: ConversationId,
        by: UserId,
        revision: Revision,
    ) -> Result<Conversation, ConversationError> {
        let Inner { store, keys, fanout, waker, clock, turns } = &*self.0;
        let now = clock.now();
        let mut before = None;
        let turn = turns.take(id).await;
        let decide = |found: Option<StoredConversation>| {
            let conversation = found.ok_or(ConversationError::NotFound)?;
            before = Some(conversation.clone());
            revised(conversation, by, &revision, now)
        };
        let after = store.alter(id, now, trace::current(), decide).await?;
        let before = before.ok_or(ConversationError::NotFound)?;
        let Some(after) = after else { return Ok(self.seen_by(&before, by).await?) };
        waker.wake(id.to_string());
        if after.deleted_at.is_some() {
            keys.forget(id);
        }
        let view = self.seen_by(&after, by).await?;
        let newcomers = not_in(&after, &before);
        let leavers = not_in(&before, &after);
        fanout.publish(vec![Live::conversation(after, newcomers, leavers)]);
        drop(turn);
        Ok(view)
    }

    /// Has a user leave all groups, whose account is gone; tells how many. A direct conversation stays with the other one. What has been left
    /// already is left alone, so that it can be repeated.
    pub async fn depart(&self, user: UserId) -> Result<usize, ConversationError> {
        let groups = self.0.store.groups_of(user).await?;
        let mut left = 0;
        for id in groups {
            match self.revise(id, user, Revision::Remove(user)).await {
                Ok(_) => left += 1,
                Err(ConversationError::NotFound | ConversationError::NoMember) => {}
                Err(error) => return Err(error),
            }
        }
        self.0.store.forget_in_directs(user).await?;
        Ok(left)
    }

    /// Mutes a conversation for a member until a moment, or until they say otherwise; `None` ends that. Gives it as the member sees it then.
    pub async fn mute(
        &self,
        id: ConversationId,
        user: UserId,
        mute: Option<Mute>,
    ) -> Result<Conversation, ConversationError> {
        if let Some(fault) = mute.and_then(|mute| rules::mute_fault(mute, self.0.clock.now())) {
            return Err(ConversationError::Invalid(vec![fault]));
        }
        let mute = mute.map(|Mute { until }| StoredMute { until });
        let after = self.0.store.mute(id, user, mute).await?.ok_or(ConversationError::NotFound)?;
        Ok(self.seen_by(&after, user).await?)
    }

    /// The conversation with what is the user's own, if they are a member.
    async fn seen_by(&self, conversation: &StoredConversation, user: UserId) -> Result<Conversation, StoreError> {
        let view = conversation.view();
        if conversation.role_of(user).is_none() {
            return Ok(view);
        }
        let mark = conversation.read.get(&user).copied().unwrap_or(0);
        let (unread, unread_mentions) =
            if mark < conversation.seq { self.0.store.unread(conversation.id, user, mark).await? } else { (0, 0) };
        let mute = conversation.mute_of(user, self.0.clock.now());
        let muted_until = mute.and_then(|mute| mute.until);
        Ok(Conversation { own: Some(Own { unread, unread_mentions, muted: mute.is_some(), muted_until }), ..view })
    }

    /// Marks everything up to `seq` as read by the user; gives the mark as it then is.
    pub async fn read(&self, id: ConversationId, user: UserId, seq: u64) -> Result<u64, ConversationError> {
        let Inner { store, fanout, clock, waker, .. } = &*self.0;
        let before = store.conversation_of(id, user).await?.ok_or(ConversationError::NotFound)?;
        let mark = before.read.get(&user).copied().unwrap_or(0);
        if seq.min(before.seq) <= mark {
            return Ok(mark);
        }
        let (now, seq) = (clock.now(), seq.min(before.seq));
        let told = ConversationRead { conversation_id: id, user_id: user, seq }.into();
        let told = Envelope::new(SOURCE, told, trace::current(), now, &mut rand::rng());
        let after = store.mark_read(id, user, seq, now, &told).await?.ok_or(ConversationError::NotFound)?;
        if before.missed.contains(&user) {
            waker.wake(id.to_string());
        }
        let mark = after.read.get(&user).copied().unwrap_or(0);
        fanout.publish(vec![Live::Read { conversation_id: id, members: after.member_ids(), user_id: user, seq: mark }]);
        Ok(mark)
    }

    /// Tells the others that the user is typing, or no longer.
    pub async fn typing(&self, id: ConversationId, user: UserId, active: bool) -> Result<(), ConversationError> {
        let conversation = self.0.store.conversation_of(id, user).await?.ok_or(ConversationError::NotFound)?;
        let others = conversation.member_ids().into_iter().filter(|member| *member != user).collect();
        self.0.fanout.publish(vec![Live::Typing { conversation_id: id, members: others, user_id: user, active }]);
        Ok(())
    }
}

fn revised(
    conversation: StoredConversation,
    by: UserId,
    revision: &Revision,
    now: Timestamp,
) -> Result<Alteration, ConversationError> {
    match revision {
        Revision::Rename(title) => rules::renamed(conversation, by, title.as_deref()),
        Revision::Add(users, role) => rules::joined(conversation, by, users, *role, now),
        Revision::Promote(user, role) => rules::promoted(conversation, by, *user, *role),
        Revision::Remove(user) => rules::left(conversation, by, *user, now),
        Revision::Delete => rules::ended(conversation, by, now),
    }
}

fn not_in(this: &StoredConversation, other: &StoredConversation) -> Vec<UserId> {
    this.member_ids().into_iter().filter(|user| other.role_of(*user).is_none()).collect()
}

impl AsStoreError for ConversationError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ConversationError> for Problem {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::NotFound => Self::not_found("You are in no such conversation."),
            ConversationError::NoMember => Self::not_found("The user is not a member of the conversation."),
            ConversationError::Forbidden(detail) => Self::forbidden(detail),
            ConversationError::Invalid(errors) => Self { errors, ..Self::validation_failed() },
            ConversationError::Full => {
                let detail = format!("A group has at most {} members.", rules::MOST_MEMBERS);
                Self::new(StatusCode::CONFLICT, "group-full", "The group is full").detail(detail)
            }
            ConversationError::Key(_) => Self::internal(),
            ConversationError::Store(_) => Self::unavailable("The message store does not answer. Try again."),
        }
    }
}
