//! Conversations: how they are opened, changed, found and marked as read.

use std::time::Duration;

use contract::event::{Envelope, Event};
use contract::id::{ConversationId, UserId};
use contract::trace::TraceParent;
use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use mongodb::ClientSession;
use mongodb::bson::{Bson, doc};
use mongodb::options::{ReadConcern, ReturnDocument};
use serde::{Deserialize, Serialize};

use super::transaction::{AsStoreError, Work, transact};
use super::{Store, StoreError, StoredConversation, StoredMute, duplicate_or, int, time};
use crate::SOURCE;

/// How long it may take until a majority has what another replica has just written.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// How long a conversation is known by the key that it was opened with.
const KEY_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// A place in a user's list of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When something was last said there.
    pub at: Timestamp,
    /// Which conversation.
    pub id: ConversationId,
}

/// What a look at a conversation led to.
#[derive(Debug)]
pub enum Alteration {
    /// It is already as it should be.
    Nothing,
    /// It shall be so from now on; the events go to its outbox.
    To(Box<StoredConversation>, Vec<Event>),
}

/// What was found under a unique key: what was to be created, or what had been before.
#[derive(Debug)]
pub enum Found {
    /// It is new.
    Created(StoredConversation),
    /// It was there.
    Existing(StoredConversation),
}

impl Store {
    /// Opens a conversation; if its direct or creation key is taken, gives the one that has it.
    pub async fn create(&self, conversation: StoredConversation) -> Result<Found, StoreError> {
        match self.conversations.now().insert_one(&conversation).await.map_err(duplicate_or) {
            Ok(_) => Ok(Found::Created(conversation)),
            Err(StoreError::Duplicate) => {
                let filter = match (&conversation.direct_key, &conversation.creation_key) {
                    (Some(key), _) => doc! {"directKey": key},
                    (None, Some(key)) => {
                        doc! {"createdBy": conversation.created_by.to_string(), "creationKey": key}
                    }
                    (None, None) => return Err(StoreError::Duplicate),
                };
                // It may have been written by another replica just now, and be known to no majority yet: this waits until it is.
                let conversations = self.conversations.now();
                let existing = conversations.find_one(filter).read_concern(ReadConcern::linearizable());
                match existing.max_time(SEEN_WITHIN).await? {
                    Some(old) if is_forgotten(&old, conversation.created_at) => {
                        let of_then = doc! {"_id": old.id.to_string(), "creationKey": &old.creation_key};
                        conversations.update_one(of_then, doc! {"$unset": {"creationKey": ""}}).await?;
                        conversations.insert_one(&conversation).await.map_err(duplicate_or)?;
                        Ok(Found::Created(conversation))
                    }
                    Some(existing) => Ok(Found::Existing(existing)),
                    None => Err(StoreError::Moved),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The conversation of an id.
    pub async fn conversation(&self, id: ConversationId) -> Result<Option<StoredConversation>, StoreError> {
        Ok(self.conversations.now().find_one(doc! {"_id": id.to_string()}).await?)
    }

    /// The conversation of an id, if the user is a member.
    pub async fn conversation_of(
        &self,
        id: ConversationId,
        member: UserId,
    ) -> Result<Option<StoredConversation>, StoreError> {
        let filter = doc! {"_id": id.to_string(), "members.userId": member.to_string()};
        Ok(self.conversations.now().find_one(filter).await?)
    }

    /// Those of these conversations of which the user is a member.
    pub async fn conversations_of(
        &self,
        ids: impl IntoIterator<Item = ConversationId>,
        member: UserId,
    ) -> Result<Vec<StoredConversation>, StoreError> {
        let ids: Vec<String> = ids.into_iter().map(String::from).collect();
        let filter = doc! {"_id": {"$in": ids}, "members.userId": member.to_string()};
        Ok(self.conversations.now().find(filter).await?.try_collect().await?)
    }

    /// A user's conversations, the liveliest first.
    pub async fn list(
        &self,
        member: UserId,
        after: Option<Activity>,
        limit: usize,
    ) -> Result<Vec<StoredConversation>, StoreError> {
        let mut filter = doc! {"members.userId": member.to_string()};
        if let Some(Activity { at, id }) = after {
            let at = time::date(at);
            filter.insert(
                "$or",
                [doc! {"activityAt": {"$lt": at}}, doc! {"activityAt": at, "_id": {"$lt": id.to_string()}}].to_vec(),
            );
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let conversations = self.conversations.now();
        let found = conversations.find(filter).sort(doc! {"activityAt": -1, "_id": -1}).limit(limit).await?;
        Ok(found.try_collect().await?)
    }

    /// Looks at a conversation and, if `decide` says so, gives it a new form under the next sequence number.
    /// `decide` may be asked several times.
    pub async fn alter<F, E>(
        &self,
        id: ConversationId,
        now: Timestamp,
        trace: Option<TraceParent>,
        decide: F,
    ) -> Result<Option<StoredConversation>, E>
    where
        F: FnMut(Option<StoredConversation>) -> Result<Alteration, E> + Send,
        E: From<StoreError> + AsStoreError + Send,
    {
        let mut work = Alter { store: self, id, now, trace, decide };
        transact(self.conversations.database(), &mut work).await
    }

    /// Moves a member's read mark forward to `seq`, or to the end if that is less; never back. Gives the conversation after that. If the
    /// member had missed something, `told` goes to the outbox.
    pub async fn mark_read(
        &self,
        id: ConversationId,
        member: UserId,
        seq: u64,
        now: Timestamp,
        told: &Envelope,
    ) -> Result<Option<StoredConversation>, StoreError> {
        let (mark, one) = (format!("read.{member}"), member.to_string());
        let reached = format!("${mark}");
        let filter = doc! {"_id": id.to_string(), "members.userId": &one};
        let told = mongodb::bson::serialize_to_bson(told).map_err(mongodb::error::Error::from)?;
        let forward = doc! {"$set": {
            mark: {"$max": [{"$ifNull": [&reached, 0_i64]}, {"$min": [int(seq), "$seq"]}]},
            "changedAt": time::date(now),
            "missed": {"$ifNull": ["$missed", []]},
        }};
        let tell = doc! {"$set": {
            "outbox": {"$cond": [{"$in": [&one, "$missed"]}, {"$concatArrays": ["$outbox", [{"$literal": told}]]}, "$outbox"]},
            "missed": {"$cond": [{"$gte": [reached, "$seq"]}, {"$setDifference": ["$missed", [one]]}, "$missed"]},
        }};
        let conversations = self.conversations.now();
        let after = conversations.find_one_and_update(filter, vec![forward, tell]);
        Ok(after.return_document(ReturnDocument::After).await?)
    }

    /// Sets or takes away a member's mute. Gives the conversation after that.
    pub async fn mute(
        &self,
        id: ConversationId,
        member: UserId,
        mute: Option<StoredMute>,
    ) -> Result<Option<StoredConversation>, StoreError> {
        let field = format!("mutes.{member}");
        let filter = doc! {"_id": id.to_string(), "members.userId": member.to_string()};
        let update = if let Some(mute) = mute {
            let mute = mongodb::bson::serialize_to_bson(&mute).map_err(mongodb::error::Error::from)?;
            doc! {"$set": {field: mute}}
        } else {
            doc! {"$unset": {field: ""}}
        };
        let conversations = self.conversations.now();
        let after = conversations.find_one_and_update(filter, update);
        Ok(after.return_document(ReturnDocument::After).await?)
    }

    /// Conversations in which anything changed since a moment.
    pub async fn changed_since(&self, since: Timestamp) -> Result<Vec<StoredConversation>, StoreError> {
        let filter = doc! {"changedAt": {"$gte": time::date(since)}};
        Ok(self.conversations.now().find(filter).sort(doc! {"changedAt": 1}).await?.try_collect().await?)
    }

    /// The groups of which the user is a member.
    pub async fn groups_of(&self, member: UserId) -> Result<Vec<ConversationId>, StoreError> {
        let filter = doc! {"members.userId": member.to_string(), "type": "group"};
        let ids = self.conversations.now().distinct("_id", filter).await?;
        Ok(ids.iter().filter_map(Bson::as_str).filter_map(|id| id.parse().ok()).collect())
    }

    /// Forgets how far a user has read direct conversations, and that they muted them.
    pub async fn forget_in_directs(&self, member: UserId) -> Result<(), StoreError> {
        let filter = doc! {"members.userId": member.to_string(), "type": "direct"};
        let own = doc! {
            "$unset": {format!("read.{member}"): "", format!("mutes.{member}"): ""},
            "$pull": {"missed": member.to_string()},
        };
        self.conversations.now().update_many(filter, own).await?;
        Ok(())
    }

    /// Everybody who shares a conversation with the user, the user included once there is one.
    pub async fn contacts(&self, user: UserId) -> Result<Vec<UserId>, StoreError> {
        let filter = doc! {"members.userId": user.to_string()};
        let ids = self.conversations.now().distinct("members.userId", filter).await?;
        Ok(ids.iter().filter_map(Bson::as_str).filter_map(|id| id.parse().ok()).collect())
    }
}

/// Whether a conversation was opened so long ago that its key may open another one.
fn is_forgotten(old: &StoredConversation, now: Timestamp) -> bool {
    old.creation_key.is_some() && now.duration_since(old.created_at) >= KEY_KEPT_FOR
}

struct Alter<'a, F> {
    store: &'a Store,
    id: ConversationId,
    now: Timestamp,
    trace: Option<TraceParent>,
    decide: F,
}

impl<F, E> Work for Alter<'_, F>
where
    F: FnMut(Option<StoredConversation>) -> Result<Alteration, E> + Send,
    E: From<StoreError> + AsStoreError + Send,
{
    type Output = Option<StoredConversation>;
    type Error = E;

    async fn run(&mut self, session: &mut ClientSession) -> Result<Self::Output, E> {
        let conversations = self.store.conversations.within(session);
        let this_one = doc! {"_id": self.id.to_string()};
        let found = conversations.find_one(this_one.clone()).session(&mut *session).await.map_err(StoreError::from)?;
        let seq = found.as_ref().map_or(0, |conversation| conversation.seq) + 1;
        let Alteration::To(mut conversation, events) = (self.decide)(found)? else { return Ok(None) };
        conversation.seq = seq;
        conversation.updated_at = self.now;
        conversation.changed_at = self.now;
        let envelopes = events.into_iter().map(|e| Envelope::new(SOURCE, e, self.trace, self.now, &mut rand::rng()));
        conversation.outbox.extend(envelopes);
        conversations.replace_one(this_one, &*conversation).session(session).await.map_err(StoreError::from)?;
        Ok(Some(*conversation))
    }
}
