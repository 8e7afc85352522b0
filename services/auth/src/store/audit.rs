//! The audit log in the collection `audit`. Nothing here changes or removes an entry.

use contract::id::{AuditId, UserId};
use futures::TryStreamExt as _;
use mongodb::bson::{self, doc};
use mongodb::error::Error;
use mongodb::{ClientSession, IndexModel};
use runtime::connect::{Collection, Database};
use serde::{Deserialize, Serialize};

use super::{millis, timestamp};
use crate::audit::{Act, Actor, Entry};

/// The audit log.
#[derive(Clone, Debug)]
pub struct AuditStore {
    entries: Collection<Record>,
}

impl AuditStore {
    pub(super) fn new(database: &Database) -> Self {
        Self { entries: database.collection("audit") }
    }

    pub(super) async fn make_indexes(&self) -> Result<(), Error> {
        let index = |keys| IndexModel::builder().keys(keys).build();
        let indexes = [index(doc! {"subject": 1, "_id": -1}), index(doc! {"actor.id": 1, "_id": -1})];
        self.entries.now().create_indexes(indexes).await.map(|_names| ())
    }

    /// Adds an entry.
    pub async fn add(&self, entry: &Entry) -> Result<(), Error> {
        self.entries.now().insert_one(Record::from(entry)).await?;
        Ok(())
    }

    /// Adds an entry with whatever else the transaction of `session` does.
    pub(super) async fn add_within(&self, entry: &Entry, session: &mut ClientSession) -> Result<(), Error> {
        self.entries.within(session).insert_one(Record::from(entry)).session(session).await?;
        Ok(())
    }

    /// Up to `limit` entries older than `after`, newest first; those by or about `user` where one is given.
    pub async fn list(&self, user: Option<UserId>, after: Option<AuditId>, limit: usize) -> Result<Vec<Entry>, Error> {
        let mut filter = doc! {};
        if let Some(user) = user {
            filter.insert("$or", [doc! {"subject": user.to_string()}, doc! {"actor.id": user.to_string()}]);
        }
        if let Some(after) = after {
            filter.insert("_id", doc! {"$lt": after.to_string()});
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let entries = self.entries.now();
        let found = entries.find(filter).sort(doc! {"_id": -1}).limit(limit).await?;
        found.map_ok(Entry::from).try_collect().await
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    #[serde(rename = "_id")]
    id: AuditId,
    at: bson::DateTime,
    actor: Actor,
    act: Act,
    subject: UserId,
}

impl From<&Entry> for Record {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id,
            at: millis(entry.at),
            actor: entry.actor.clone(),
            act: entry.act.clone(),
            subject: entry.subject,
        }
    }
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self { id: record.id, at: timestamp(record.at), actor: record.actor, act: record.act, subject: record.subject }
    }
}
