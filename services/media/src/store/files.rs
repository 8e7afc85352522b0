//! What is known of files, in the collection `files`.
//!
//! A document is `pending` from before the first byte reaches the object store until the object is complete, then `ready`, and
//! `deleting` from before its object goes until it is gone. Every object in the bucket therefore has a document, whatever crashes
//! when; what stays `pending` or `deleting` for long is an orphan, found through the index on state and age.

use contract::id::{MediaId, UserId};
use jiff::Timestamp;
use mongodb::{
    IndexModel,
    bson::{DateTime, Document, doc},
};
use runtime::connect::{Collection, Database};
use serde::{Deserialize, Serialize};

use crate::{
    content_type::ContentType,
    file::{Content, File},
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

/// The records of all files.
#[derive(Clone, Debug)]
pub struct Files {
    records: Collection<Record>,
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
        Self { records: database.collection("files") }
    }

    /// Makes the indexes; does nothing where they are there.
    pub(super) async fn make_indexes(&self) -> Result<(), FilesError> {
        let by_owner = IndexModel::builder().keys(doc! {"ownerId": 1, "_id": -1}).build();
        let by_age = IndexModel::builder().keys(doc! {"state": 1, "createdAt": 1}).build();
        self.records.now().create_indexes([by_owner, by_age]).await?;
        Ok(())
    }

    /// Records that the object `key` is about to be written.
    pub async fn begin(&self, id: MediaId, owner: UserId, key: &ObjectKey, now: Timestamp) -> Result<(), FilesError> {
        let record = Record {
            id,
            owner_id: owner,
            state: State::Pending,
            key: key.clone(),
            created_at: DateTime::from_millis(now.as_millisecond()),
            filename: None,
            content_type: None,
            size: None,
            sha256: None,
        };
        self.records.now().insert_one(record).await?;
        Ok(())
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
