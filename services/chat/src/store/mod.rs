//! What is kept in `MongoDB`, database `chat`: the collections `conversations`, `messages` and `names`;
//! where another server is searched, also how far that one has been fed (`search_indexes`, `search_cursors`).
//!
//! Writes are acknowledged by a majority and reads see only what a majority has, so nothing that was ever answered can be rolled back.

mod conversations;
mod feeding;
mod indexes;
mod messages;
mod migrations;
mod names;
mod rewrapping;
mod search;
mod stored;
pub(crate) mod time;
mod transaction;

use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::{CollectionOptions, ReadConcern, WriteConcern};
use runtime::connect::{Collection, Database};

pub use conversations::{Activity, Alteration, Found};
pub(crate) use feeding::{Behind, Cursor, Fed, IndexState, Look, Which};
pub use messages::{Change, MOST_COUNTED, PinPlace, Prepared, Written};
pub use migrations::MIGRATIONS;
pub use search::Searched;
pub use stored::{
    Pin, Reaction, StoredConversation, StoredLeaver, StoredMember, StoredMessage, StoredMute, StoredName,
};
pub use transaction::AsStoreError;

/// Access to the database.
#[derive(Clone, Debug)]
pub struct Store {
    conversations: Collection<StoredConversation>,
    messages: Collection<StoredMessage>,
    names: Collection<StoredName>,
    cursors: Collection<Cursor>,
    indexes: Collection<IndexState>,
}

/// Why the database could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It said so, or could not be reached.
    #[error("MongoDB: {0}")]
    Database(#[from] mongodb::error::Error),
    /// A unique index refused a document: the thing is there already.
    #[error("already there")]
    Duplicate,
    /// A document changed between a look at it and the transaction. Trying again helps.
    #[error("changed meanwhile")]
    Moved,
}

impl Store {
    /// Over a database. It has to have been through [`MIGRATIONS`] before anything is written.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        let options = CollectionOptions::builder()
            .read_concern(ReadConcern::majority())
            .write_concern(WriteConcern::majority())
            .build();
        Self {
            conversations: database.collection_with_options("conversations", options.clone()),
            messages: database.collection_with_options("messages", options.clone()),
            names: database.collection_with_options("names", options.clone()),
            cursors: database.collection_with_options("search_cursors", options.clone()),
            indexes: database.collection_with_options("search_indexes", options),
        }
    }

    /// The collection of conversations, for the relay of its outbox.
    #[must_use]
    pub fn conversations(&self) -> &Collection<StoredConversation> {
        &self.conversations
    }

    /// The collection of messages, for the relay of its outbox.
    #[must_use]
    pub fn messages(&self) -> &Collection<StoredMessage> {
        &self.messages
    }
}

impl AsStoreError for StoreError {
    fn as_store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

/// Tells a unique index's refusal from other errors.
fn duplicate_or(error: mongodb::error::Error) -> StoreError {
    const DUPLICATE_KEY: i32 = 11_000;
    let code = match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::InsertMany(many) => many.write_errors.iter().flatten().map(|write| write.code).next(),
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    };
    if code == Some(DUPLICATE_KEY) { StoreError::Duplicate } else { StoreError::Database(error) }
}

/// A sequence number as BSON counts. Beyond `i64::MAX` there is none.
fn int(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// A limit as `MongoDB` takes it.
fn int_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
