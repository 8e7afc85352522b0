//! How far users have read, as far as notifications may still come of it, in the collection `readMarks`.

use std::{collections::BTreeSet, time::Duration};

use contract::id::{ConversationId, UserId};
use futures::TryStreamExt;
use jiff::Timestamp;
use mongodb::{
    IndexModel,
    bson::{DateTime, doc},
    error::Error,
    options::IndexOptions,
};
use runtime::connect::{Collection, Database};
use serde::{Deserialize, Serialize};

use super::stored;

/// So long an event may be late. What was read longer ago has been told of before.
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// The read marks of all users.
#[derive(Clone, Debug)]
pub struct ReadMarks {
    records: Collection<Record>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// Conversation and user.
    #[serde(rename = "_id")]
    id: String,
    user_id: UserId,
    seq: i64,
    at: DateTime,
}

impl ReadMarks {
    /// The read marks in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { records: database.collection("readMarks") }
    }

    /// Makes the indexes; does nothing where they are there.
    pub async fn prepare(&self) -> Result<(), Error> {
        let expiring = IndexOptions::builder().expire_after(KEPT_FOR).build();
        self.records
            .now()
            .create_indexes([
                IndexModel::builder().keys(doc! {"at": 1}).options(expiring).build(),
                IndexModel::builder().keys(doc! {"userId": 1}).build(),
            ])
            .await?;
        Ok(())
    }

    /// Takes note that `user` has read `conversation` up to `seq`.
    pub async fn note(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: u64,
        now: Timestamp,
    ) -> Result<(), Error> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let mark = doc! {"$set": {"userId": user.to_string(), "at": stored(now)}, "$max": {"seq": seq}};
        self.records.now().update_one(doc! {"_id": id(conversation, user)}, mark).upsert(true).await?;
        Ok(())
    }

    /// Those of `users` who have read `conversation` up to `seq` or further.
    pub async fn past(
        &self,
        conversation: ConversationId,
        seq: u64,
        users: &BTreeSet<UserId>,
    ) -> Result<Vec<UserId>, Error> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let ids: Vec<String> = users.iter().map(|user| id(conversation, *user)).collect();
        let found = self.records.now().find(doc! {"_id": {"$in": ids}, "seq": {"$gte": seq}}).await?;
        found.map_ok(|record| record.user_id).try_collect().await
    }

    /// Forgets all marks of `user`.
    pub async fn forget(&self, user: UserId) -> Result<(), Error> {
        self.records.now().delete_many(doc! {"userId": user.to_string()}).await?;
        Ok(())
    }
}

fn id(conversation: ConversationId, user: UserId) -> String {
    format!("{conversation}:{user}")
}
