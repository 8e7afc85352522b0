//! What is known of files, in the collection `files`.
//!
//! A document is `pending` from before the first byte reaches the object store until the object is complete, then `ready`, and
//! `deleting` from before its object goes until it is gone. Every object in the bucket therefore has a document, whatever crashes
//! when; what stays `pending` or `deleting` for long is an orphan, found through the index on state and age.

use std::sync::Arc;

use contract::id::{MediaId, UserId};
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use mongodb::{
    IndexModel,
    bson::{DateTime, Document, doc},
    error::{ErrorKind, WriteFailure},
    options::IndexOptions,
};
use runtime::connect::{Collection, Database};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::{
    content_type::ContentType,
    file::{Content, File, UploadKey},
    object_key::ObjectKey,
};

/// What went wrong with the records of files.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The database did not do it.
    #[error("the database: {0}")]
    Database(#[from] mongodb::error::Error),
    /// A document is not what this service writes.
    #[error("the record of file {0} is damaged")]
    Damaged(MediaId),
    /// The record of an upload under way has been taken away.
    #[error("the upload of file {0} has been given up")]
    GivenUp(MediaId),
}

/// How an upload stands to its key.
#[derive(Debug)]
pub enum Begun {
    /// It is recorded, and may begin.
    New,
    /// One with the same key is under way.
    UnderWay,
    /// One with the same key has become this file.
    Done(Box<File>),
}

/// How long a file is known by the key that it was uploaded with.
const KEY_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// After so long an upload that has not ended died with its process, or may lose its key to another try.
const UNDER_WAY_FOR: SignedDuration = SignedDuration::from_mins(15);

/// How often an upload is recorded anew whose key came or went meanwhile.
const MOST_ATTEMPTS: usize = 8;

/// So many of those left behind are taken in hand at a time.
const MOST_AT_ONCE: i64 = 500;

/// The records of all files.
#[derive(Clone, Debug)]
pub struct Files {
    records: Collection<Record>,
    keys: Arc<OnceCell<()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Pending,
    Ready,
    Deleting,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Deleting => "deleting",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "_id")]
    id: MediaId,
    owner_id: UserId,
    state: State,
    key: ObjectKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload_key: Option<UploadKey>,
    created_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Files {
    /// The records in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { records: database.collection("files"), keys: Arc::default() }
    }

    /// Makes the indexes; does nothing where they are there.
    pub(super) async fn make_indexes(&self) -> Result<(), FilesError> {
        let by_owner = IndexModel::builder().keys(doc! {"ownerId": 1, "_id": -1}).build();
        let by_age = IndexModel::builder().keys(doc! {"state": 1, "createdAt": 1}).build();
        self.records.now().create_indexes([by_owner, by_age]).await?;
        Ok(())
    }

    /// Makes the index of the keys of uploads; does nothing where it is there.
    pub(super) async fn make_index_of_keys(&self) -> Result<(), FilesError> {
        let only = doc! {"uploadKey": {"$exists": true}};
        let unique = IndexOptions::builder().unique(true).partial_filter_expression(only).build();
        let by_key = IndexModel::builder().keys(doc! {"ownerId": 1, "uploadKey": 1}).options(unique).build();
        self.records.now().create_index(by_key).await?;
        Ok(())
    }

    /// Records that the object `key` is about to be written, unless `upload_key` tells that it has been before.
    pub async fn begin(
        &self,
        id: MediaId,
        owner: UserId,
        key: &ObjectKey,
        upload_key: Option<UploadKey>,
        now: Timestamp,
    ) -> Result<Begun, FilesError> {
        let record = Record {
            id,
            owner_id: owner,
            state: State::Pending,
            key: key.clone(),
            upload_key,
            created_at: DateTime::from_millis(now.as_millisecond()),
            filename: None,
            content_type: None,
            size: None,
            sha256: None,
        };
        if record.upload_key.is_some() {
            // Without its unique index the collection would take anything.
            self.keys.get_or_try_init(|| self.make_index_of_keys()).await?;
        }
        for _ in 0..MOST_ATTEMPTS {
            match self.records.now().insert_one(&record).await {
                Ok(_) => return Ok(Begun::New),
                Err(error) if record.upload_key.is_some() && is_duplicate(&error) => {}
                Err(error) => return Err(error.into()),
            }
            let Some(upload_key) = &record.upload_key else { break };
            let same = doc! {"ownerId": owner.to_string(), "uploadKey": upload_key.as_str()};
            let Some(before) = self.records.now().find_one(same.clone()).await? else { continue };
            let age = SignedDuration::from_millis(
                record.created_at.timestamp_millis() - before.created_at.timestamp_millis(),
            );
            match before.state {
                State::Ready if age < KEY_KEPT_FOR => return Ok(Begun::Done(Box::new(before.try_into()?))),
                State::Pending if age < UNDER_WAY_FOR => return Ok(Begun::UnderWay),
                _ => self.records.now().update_one(same, doc! {"$unset": {"uploadKey": ""}}).await?,
            };
        }
        Ok(Begun::UnderWay)
    }

    /// Records that the object is complete: from here on the file exists.
    pub async fn complete(&self, id: MediaId, content: &Content) -> Result<(), FilesError> {
        let size = i64::try_from(content.size).map_err(|_| FilesError::Damaged(id))?;
        let outcome = self
            .records
            .now()
            .update_one(
                doc! {"_id": id.to_string(), "state": State::Pending.name()},
                doc! {"$set": {
                    "state": State::Ready.name(),
                    "filename": &content.filename,
                    "contentType": content.content_type.as_str(),
                    "size": size,
                    "sha256": &content.sha256,
                }},
            )
            .await?;
        if outcome.matched_count == 1 { Ok(()) } else { Err(FilesError::GivenUp(id)) }
    }

    /// The complete file `id`, if it belongs to `owner`.
    pub async fn find(&self, id: MediaId, owner: UserId) -> Result<Option<File>, FilesError> {
        let mut filter = owned(id, owner);
        filter.insert("state", State::Ready.name());
        self.records.now().find_one(filter).await?.map(File::try_from).transpose()
    }

    /// The complete file `id`, whoever it belongs to.
    pub async fn any(&self, id: MediaId) -> Result<Option<File>, FilesError> {
        let ready = doc! {"_id": id.to_string(), "state": State::Ready.name()};
        self.records.now().find_one(ready).await?.map(File::try_from).transpose()
    }

    /// The complete files of `owner`, and those whose deletion has not come to its end.
    pub async fn of(&self, owner: UserId) -> Result<Vec<MediaId>, FilesError> {
        let state = doc! {"$in": [State::Ready.name(), State::Deleting.name()]};
        let found = self.records.now().find(doc! {"ownerId": owner.to_string(), "state": state}).await?;
        Ok(found.map_ok(|record| record.id).try_collect().await?)
    }

    /// Has every upload of `owner` that is under way come to nothing.
    pub async fn give_up_uploads(&self, owner: UserId) -> Result<(), FilesError> {
        let pending = doc! {"ownerId": owner.to_string(), "state": State::Pending.name()};
        self.records.now().update_many(pending, doc! {"$set": {"state": State::Deleting.name()}}).await?;
        Ok(())
    }

    /// Uploads that began before `then` and never ended, and deletions of files of that age that were interrupted: each with its object.
    pub async fn left_behind(&self, then: Timestamp) -> Result<Vec<(MediaId, ObjectKey)>, FilesError> {
        let state = doc! {"$in": [State::Pending.name(), State::Deleting.name()]};
        let old = doc! {"state": state, "createdAt": {"$lt": DateTime::from_millis(then.as_millisecond())}};
        let found = self.records.now().find(old).limit(MOST_AT_ONCE).await?;
        Ok(found.map_ok(|record| (record.id, record.key)).try_collect().await?)
    }

    /// Marks the file for deletion, so that nobody finds it any more, and says where its object is. A file already marked is found
    /// again, so that an interrupted deletion can be repeated.
    pub async fn begin_deletion(&self, id: MediaId, owner: UserId) -> Result<Option<ObjectKey>, FilesError> {
        let mut filter = owned(id, owner);
        filter.insert("state", doc! {"$in": [State::Ready.name(), State::Deleting.name()]});
        let record =
            self.records.now().find_one_and_update(filter, doc! {"$set": {"state": State::Deleting.name()}}).await?;
        Ok(record.map(|record| record.key))
    }

    /// Forgets a file, or an upload, whose object is gone.
    pub async fn forget(&self, id: MediaId) -> Result<(), FilesError> {
        self.records
            .now()
            .delete_one(doc! {
                "_id": id.to_string(),
                "state": {"$in": [State::Pending.name(), State::Deleting.name()]},
            })
            .await?;
        Ok(())
    }
}

pub(super) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    const DUPLICATE_KEY: i32 = 11_000;
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE_KEY)
}

fn owned(id: MediaId, owner: UserId) -> Document {
    doc! {"_id": id.to_string(), "ownerId": owner.to_string()}
}

impl TryFrom<Record> for File {
    type Error = FilesError;

    fn try_from(record: Record) -> Result<Self, FilesError> {
        let damaged = || FilesError::Damaged(record.id);
        Ok(Self {
            id: record.id,
            owner: record.owner_id,
            created_at: Timestamp::from_millisecond(record.created_at.timestamp_millis()).map_err(|_| damaged())?,
            content: Content {
                filename: record.filename.clone().ok_or_else(damaged)?,
                content_type: record
                    .content_type
                    .clone()
                    .and_then(|name| ContentType::try_from(name).ok())
                    .ok_or_else(damaged)?,
                size: record.size.and_then(|size| u64::try_from(size).ok()).ok_or_else(damaged)?,
                sha256: record.sha256.clone().ok_or_else(damaged)?,
            },
            key: record.key,
        })
    }
}
