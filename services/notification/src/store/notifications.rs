//! Notifications, in the collection `notifications`.
//!
//! A unique index on user and message makes storing idempotent. While an e-mail is due, the document has a field `email` with the time
//! from which on it may be tried and the number of tries; sent or given up, the field goes. The same is true of `push`.

mod due;
mod record;

use std::collections::BTreeSet;

use contract::{
    event::MessageCreated,
    id::{ConversationId, NotificationId, UserId},
    notification::Notification,
};
use futures::TryStreamExt;
use jiff::Timestamp;
use mongodb::{
    IndexModel,
    bson::{Document, doc},
    error::{Error, ErrorKind},
    options::{IndexOptions, ReturnDocument},
};
use runtime::connect::{Collection, Database};

use self::record::{DueSending, Record};
use super::{DUPLICATE_KEY, stored};

pub use self::due::{Due, Way};

/// How many documents go in one request.
const BATCH: usize = 500;

/// By which ways the users of new notifications are to be told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// All of them by e-mail.
    pub by_email: bool,
    /// These on their devices.
    pub by_push: BTreeSet<UserId>,
}

/// The notifications of all users.
#[derive(Clone, Debug)]
pub struct Notifications {
    records: Collection<Record>,
}

impl Notifications {
    /// The notifications in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { records: database.collection("notifications") }
    }

    /// Makes the indexes; does nothing where they are there.
    pub async fn prepare(&self) -> Result<(), Error> {
        let unique = IndexOptions::builder().unique(true).build();
        let only_due =
            IndexOptions::builder().partial_filter_expression(doc! {"email.dueAt": {"$exists": true}}).build();
        self.records
            .now()
            .create_indexes([
                IndexModel::builder().keys(doc! {"userId": 1, "messageId": 1}).options(unique).build(),
                IndexModel::builder().keys(doc! {"userId": 1, "_id": -1}).build(),
                IndexModel::builder().keys(doc! {"email.dueAt": 1}).options(only_due).build(),
            ])
            .await?;
        Ok(())
    }

    /// Makes the index of what is to be pushed; does nothing where it is there.
    pub async fn prepare_push(&self) -> Result<(), Error> {
        let only_due =
            IndexOptions::builder().partial_filter_expression(doc! {"push.dueAt": {"$exists": true}}).build();
        self.records
            .now()
            .create_index(IndexModel::builder().keys(doc! {"push.dueAt": 1}).options(only_due).build())
            .await?;
        Ok(())
    }

    /// Stores a notification of `message` for each of `users` who has none yet, due at once by the ways of `told`.
    /// Returns how many were stored.
    pub async fn store(
        &self,
        message: &MessageCreated,
        users: &BTreeSet<UserId>,
        told: &Told,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let due = |is_told: bool| is_told.then(|| DueSending::at(now));
        let record = |user: &UserId| {
            let id = NotificationId::new(now, &mut rand::rng());
            Record::of(id, *user, message, now, due(told.by_email), due(told.by_push.contains(user)))
        };
        let records: Vec<Record> = users.iter().map(record).collect();
        let mut count = 0;
        for batch in records.chunks(BATCH) {
            count += match self.records.now().insert_many(batch).ordered(false).await {
                Ok(outcome) => outcome.inserted_ids.len() as u64,
                Err(error) => batch.len() as u64 - duplicates(error)?,
            };
        }
        Ok(count)
    }

    /// Up to `limit` notifications of `user`, newest first, those older than `after` where it is given.
    pub async fn list(
        &self,
        user: UserId,
        after: Option<NotificationId>,
        limit: usize,
    ) -> Result<Vec<Notification>, Error> {
        let mut filter = doc! {"userId": user.to_string()};
        if let Some(after) = after {
            filter.insert("_id", doc! {"$lt": after.to_string()});
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = self.records.now().find(filter).sort(doc! {"_id": -1}).limit(limit).await?;
        found.map_ok(Notification::from).try_collect().await
    }

    /// Marks a notification of `user` as read, and takes back what has not gone of it. Read before, it keeps its time.
    pub async fn mark_read(
        &self,
        id: NotificationId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Notification>, Error> {
        let record = self
            .records
            .now()
            .find_one_and_update(
                doc! {"_id": id.to_string(), "userId": user.to_string()},
                vec![
                    doc! {"$set": {"readAt": {"$ifNull": ["$readAt", stored(now)]}}},
                    doc! {"$unset": ["email", "push"]},
                ],
            )
            .return_document(ReturnDocument::After)
            .await?;
        Ok(record.map(Notification::from))
    }

    /// Marks all notifications of `user` as read, in one conversation or in all, and takes back what has not gone of them.
    pub async fn mark_all_read(
        &self,
        user: UserId,
        conversation: Option<ConversationId>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let within = conversation.map(|conversation| doc! {"conversationId": conversation.to_string()});
        self.mark(user, within.unwrap_or_default(), now).await
    }

    /// Marks those of `user` as read that tell of messages of `conversation` up to `seq`.
    pub async fn mark_read_up_to(
        &self,
        user: UserId,
        conversation: ConversationId,
        seq: u64,
        now: Timestamp,
    ) -> Result<(), Error> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        // Those of an earlier release do not know their message's place; they are older.
        let read = doc! {"conversationId": conversation.to_string(), "seq": {"$not": {"$gt": seq}}};
        self.mark(user, read, now).await
    }

    async fn mark(&self, user: UserId, which: Document, now: Timestamp) -> Result<(), Error> {
        let mut unread = doc! {"userId": user.to_string(), "readAt": {"$exists": false}};
        unread.extend(which);
        self.records
            .now()
            .update_many(unread, doc! {"$set": {"readAt": stored(now)}, "$unset": {"email": "", "push": ""}})
            .await?;
        Ok(())
    }

    /// Forgets all notifications of `user`.
    pub async fn forget(&self, user: UserId) -> Result<(), Error> {
        self.records.now().delete_many(doc! {"userId": user.to_string()}).await?;
        Ok(())
    }
}

/// How many of an unordered insert's documents were there before; any other failure is one.
fn duplicates(error: Error) -> Result<u64, Error> {
    match error.kind.as_ref() {
        ErrorKind::InsertMany(failed)
            if failed.write_concern_error.is_none()
                && failed.write_errors.as_ref().is_some_and(|errors| {
                    !errors.is_empty() && errors.iter().all(|error| error.code == DUPLICATE_KEY)
                }) =>
        {
            Ok(failed.write_errors.as_ref().map_or(0, |errors| errors.len() as u64))
        }
        _ => Err(error),
    }
}
