//! How far another server's index has been fed with what is here.
//!
//! Changes of a conversation are numbered without gaps, and whoever has seen one has seen all before it. So one number for each conversation
//! says what an index holds; what is missing is whatever has a greater number. A number counts for one index only, named by the id that its
//! server gave it: of an index that was made anew nothing has been fed.

use std::collections::BTreeMap;

use contract::id::{ConversationId, MessageId};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use mongodb::ClientSession;
use mongodb::bson::{Binary, DateTime, doc};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, int, int_limit, time};

/// How many cursors are written at a time.
const AT_ONCE: usize = 16;

/// A document of the collection `search_cursors`: up to which change an index holds a conversation.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Cursor {
    #[serde(rename = "_id")]
    pub(crate) conversation: ConversationId,
    /// The id of the index.
    pub(crate) index: String,
    /// The number of the last change.
    pub(crate) seq: u64,
}

/// A document of the collection `search_indexes`: what is known of an index.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct IndexState {
    /// Where it is.
    #[serde(rename = "_id")]
    pub(crate) place: String,
    /// The id that its server gave it.
    pub(crate) index: String,
    /// Whether it has ever held everything, so that it can be searched.
    pub(crate) complete: bool,
}

/// A conversation of which an index does not hold everything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Behind {
    pub(crate) id: ConversationId,
    /// What it has been fed with.
    pub(crate) after: u64,
    /// The number of its last change.
    pub(crate) seq: u64,
    /// Whether it was deleted.
    pub(crate) is_deleted: bool,
}

/// A message as far as an index is concerned.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fed {
    #[serde(rename = "_id")]
    pub(crate) id: MessageId,
    pub(crate) conversation_id: ConversationId,
    pub(crate) change_seq: u64,
    #[serde(default)]
    pub(crate) tokens: Vec<Binary>,
}

/// Which conversations to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// So many with ids above this one, in their order.
    Above(Option<ConversationId>, usize),
    /// Those that changed since a moment.
    ChangedSince(Timestamp),
}

/// Reads that follow one another: each sees whatever an earlier one has seen, also after an election.
pub(crate) struct Look(ClientSession);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    #[serde(rename = "_id")]
    id: ConversationId,
    seq: u64,
    #[serde(default)]
    deleted_at: Option<DateTime>,
}

impl Store {
    /// Begins to look.
    pub(crate) async fn look(&self) -> Result<Look, StoreError> {
        Ok(Look(self.messages.now().client().start_session().causal_consistency(true).await?))
    }

    /// Those of which the index lacks something, and the last that was looked at.
    pub(crate) async fn behind(
        &self,
        look: &mut Look,
        index: &str,
        which: Which,
    ) -> Result<(Vec<Behind>, Option<ConversationId>), StoreError> {
        let (filter, sort, limit) = match which {
            Which::Above(None, limit) => (doc! {}, doc! {"_id": 1}, int_limit(limit)),
            Which::Above(Some(id), limit) => (doc! {"_id": {"$gt": id.to_string()}}, doc! {"_id": 1}, int_limit(limit)),
            // To `MongoDB`, 0 is no limit.
            Which::ChangedSince(since) => (doc! {"changedAt": {"$gte": time::date(since)}}, doc! {"changedAt": 1}, 0),
        };
        let conversations = self.conversations.with_type::<Seen>().within(&look.0);
        let found = conversations.find(filter).projection(doc! {"seq": 1, "deletedAt": 1}).sort(sort);
        let mut found = found.limit(limit).session(&mut look.0).await?;
        let seen: Vec<Seen> = found.stream(&mut look.0).try_collect().await?;
        let ids: Vec<String> = seen.iter().map(|seen| seen.id.to_string()).collect();
        let cursors = self.cursors.within(&look.0);
        let cursors = cursors.find(doc! {"_id": {"$in": ids}, "index": index}).session(&mut look.0);
        let cursors: Vec<Cursor> = cursors.await?.stream(&mut look.0).try_collect().await?;
        let cursors: BTreeMap<_, _> = cursors.into_iter().map(|cursor| (cursor.conversation, cursor.seq)).collect();
        let last = seen.last().map(|seen| seen.id);
        let behind = seen.into_iter().filter_map(|Seen { id, seq, deleted_at }| {
            let after = cursors.get(&id).copied();
            let is_deleted = deleted_at.is_some();
            let lacks = after.is_none_or(|after| after < seq);
            // All of a conversation that is gone has to go, whatever was fed; of one that never came nothing is there.
            let after = if is_deleted { after.map_or(seq, |_| 0) } else { after.unwrap_or(0) };
            lacks.then_some(Behind { id, after, seq, is_deleted })
        });
        Ok((behind.collect(), last))
    }

    /// Messages of a conversation that changed after a number, oldest change first.
    pub(crate) async fn to_feed(
        &self,
        look: &mut Look,
        conversation: ConversationId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Fed>, StoreError> {
        let filter = doc! {"conversationId": conversation.to_string(), "changeSeq": {"$gt": int(after)}};
        let messages = self.messages.with_type::<Fed>().within(&look.0);
        let found = messages.find(filter).projection(doc! {"conversationId": 1, "changeSeq": 1, "tokens": 1});
        let found = found.sort(doc! {"changeSeq": 1}).limit(int_limit(limit)).session(&mut look.0);
        Ok(found.await?.stream(&mut look.0).try_collect().await?)
    }

    /// Takes note of what an index holds now.
    pub(crate) async fn fed(&self, cursors: &[Cursor]) -> Result<(), StoreError> {
        stream::iter(cursors).map(Ok).try_for_each_concurrent(AT_ONCE, |cursor| self.set_cursor(cursor)).await
    }

    async fn set_cursor(&self, cursor: &Cursor) -> Result<(), StoreError> {
        let update = doc! {"$set": {"index": &cursor.index, "seq": int(cursor.seq)}};
        self.cursors.now().update_one(doc! {"_id": cursor.conversation.to_string()}, update).upsert(true).await?;
        Ok(())
    }

    /// What is known of the index at a place.
    pub(crate) async fn index_state(&self, place: &str) -> Result<Option<IndexState>, StoreError> {
        Ok(self.indexes.now().find_one(doc! {"_id": place}).await?)
    }

    /// Takes note of that.
    pub(crate) async fn set_index_state(&self, state: &IndexState) -> Result<(), StoreError> {
        self.indexes.now().replace_one(doc! {"_id": &state.place}, state).upsert(true).await?;
        Ok(())
    }
}
