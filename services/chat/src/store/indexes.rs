//! The indexes.

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::IndexOptions;

use super::{Store, StoreError};

/// The name of the index that messages are found by where `MongoDB` is searched.
pub(super) const TOKENS: &str = "tokens";

/// Codes of `IndexNotFound` and `NamespaceNotFound`.
const NOT_THERE: [i32; 2] = [27, 26];

impl Store {
    /// Creates the indexes that are missing; one that is there costs a look. Names are fixed, so that a later release can find and replace one.
    pub(super) async fn make_indexes(&self) -> Result<(), StoreError> {
        self.conversations
            .now()
            .create_indexes([
                index("members-by-activity", doc! {"members.userId": 1, "activityAt": -1, "_id": -1}),
                index("changed", doc! {"changedAt": 1}),
                unique("direct", doc! {"directKey": 1}, doc! {"directKey": {"$exists": true}}),
                partial("data-key", doc! {"dataKey.keyId": 1, "_id": 1}, doc! {"dataKey": {"$exists": true}}),
                unique("creation", doc! {"createdBy": 1, "creationKey": 1}, doc! {"creationKey": {"$exists": true}}),
            ])
            .await?;
        self.messages
            .now()
            .create_indexes([
                unique("seq", doc! {"conversationId": 1, "seq": -1}, Document::new()),
                unique("change-seq", doc! {"conversationId": 1, "changeSeq": 1}, Document::new()),
                unique(
                    "nonce",
                    doc! {"conversationId": 1, "senderId": 1, "nonce": 1},
                    doc! {"nonce": {"$exists": true}},
                ),
                partial(
                    "thread",
                    doc! {"conversationId": 1, "threadId": 1, "seq": -1},
                    doc! {"threadId": {"$exists": true}},
                ),
                partial("pins", doc! {"conversationId": 1, "pin.at": -1, "_id": -1}, doc! {"pin": {"$exists": true}}),
                partial(
                    "mentions",
                    doc! {"conversationId": 1, "mentionIds": 1, "seq": -1},
                    doc! {"mentionIds": {"$exists": true}},
                ),
                tokens(),
            ])
            .await?;
        self.names.now().create_indexes([index("name", doc! {"name": 1, "_id": 1})]).await?;
        Ok(())
    }

    /// Makes the index that messages are found by, if it is missing. Returns once it is whole.
    pub(crate) async fn make_token_index(&self) -> Result<(), StoreError> {
        self.messages.now().create_indexes([tokens()]).await?;
        Ok(())
    }

    /// Drops it, where another server is searched: with hundreds of words in a message it is the largest of all.
    pub(crate) async fn drop_token_index(&self) -> Result<(), StoreError> {
        match self.messages.now().drop_index(TOKENS).await {
            Err(error) if !matches!(&*error.kind, ErrorKind::Command(command) if NOT_THERE.contains(&command.code)) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }
}

fn tokens() -> IndexModel {
    let keys = doc! {"conversationId": 1, "tokens": 1, "_id": -1};
    partial(TOKENS, keys, doc! {"tokens": {"$exists": true}})
}

fn index(name: &str, keys: Document) -> IndexModel {
    IndexModel::builder().keys(keys).options(IndexOptions::builder().name(name.to_owned()).build()).build()
}

fn partial(name: &str, keys: Document, only: Document) -> IndexModel {
    let options = IndexOptions::builder().name(name.to_owned()).partial_filter_expression(only).build();
    IndexModel::builder().keys(keys).options(options).build()
}

fn unique(name: &str, keys: Document, only: Document) -> IndexModel {
    let partial = (!only.is_empty()).then_some(only);
    let options = IndexOptions::builder().name(name.to_owned()).unique(true).partial_filter_expression(partial).build();
    IndexModel::builder().keys(keys).options(options).build()
}
