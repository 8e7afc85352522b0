//! Tokens that work once, in the collection `oneTimeTokens`, by their digests.

use contract::id::UserId;
use jiff::Timestamp;
use mongodb::IndexModel;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{self, Binary, Document, doc};
use mongodb::error::Error;
use mongodb::options::IndexOptions;
use runtime::connect::{Collection, Database};
use serde::{Deserialize, Serialize};

use super::{millis, timestamp};
use crate::accounts::Email;
use crate::one_time::{Issued, Purpose, Token};

/// Tokens that work once.
#[derive(Clone, Debug)]
pub struct OneTimeStore {
    tokens: Collection<Record>,
}

impl OneTimeStore {
    pub(super) fn new(database: &Database) -> Self {
        Self { tokens: database.collection("oneTimeTokens") }
    }

    pub(super) async fn make_indexes(&self) -> Result<(), Error> {
        let expiring = IndexOptions::builder().expire_after(std::time::Duration::ZERO).build();
        let indexes = [
            IndexModel::builder().keys(doc! {"userId": 1, "purpose": 1}).build(),
            IndexModel::builder().keys(doc! {"expiresAt": 1}).options(expiring).build(),
        ];
        self.tokens.now().create_indexes(indexes).await.map(|_names| ())
    }

    /// Keeps `token`, unless its user has as many of its purpose as may be at a time. Answers whether it is kept.
    pub async fn add(&self, token: &Token, issued: &Issued) -> Result<bool, Error> {
        if let Some(most) = issued.purpose.most() {
            let live = doc! {
                "userId": issued.user.to_string(),
                "purpose": bson::serialize_to_bson(&issued.purpose)?,
                "expiresAt": {"$gt": millis(issued.created_at)},
            };
            if self.tokens.now().count_documents(live).await? >= most {
                return Ok(false);
            }
        }
        self.tokens.now().insert_one(Record::new(token, issued)).await?;
        Ok(true)
    }

    /// What is kept of a token that works at `now`. It goes on working.
    pub async fn get(&self, token: &Token, purpose: Purpose, now: Timestamp) -> Result<Option<Issued>, Error> {
        Ok(self.tokens.now().find_one(working(token, purpose, now)?).await?.map(Issued::from))
    }

    /// Uses a token up: of several requests with it one alone is answered.
    pub async fn take(&self, token: &Token, purpose: Purpose, now: Timestamp) -> Result<Option<Issued>, Error> {
        Ok(self.tokens.now().find_one_and_delete(working(token, purpose, now)?).await?.map(Issued::from))
    }

    /// Forgets all tokens of `user`.
    pub async fn forget(&self, user: UserId) -> Result<(), Error> {
        self.tokens.now().delete_many(doc! {"userId": user.to_string()}).await?;
        Ok(())
    }
}

fn working(token: &Token, purpose: Purpose, now: Timestamp) -> Result<Document, Error> {
    Ok(doc! {
        "_id": binary(token),
        "purpose": bson::serialize_to_bson(&purpose)?,
        "expiresAt": {"$gt": millis(now)},
    })
}

fn binary(token: &Token) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: token.hash().to_vec() }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(rename = "_id")]
    hash: Binary,
    purpose: Purpose,
    user_id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    epoch: i64,
    created_at: bson::DateTime,
    expires_at: bson::DateTime,
}

impl Record {
    fn new(token: &Token, issued: &Issued) -> Self {
        Self {
            hash: binary(token),
            purpose: issued.purpose,
            user_id: issued.user,
            email: issued.email.clone(),
            epoch: issued.epoch,
            created_at: millis(issued.created_at),
            expires_at: millis(issued.expires_at),
        }
    }
}

impl From<Record> for Issued {
    fn from(record: Record) -> Self {
        Self {
            purpose: record.purpose,
            user: record.user_id,
            email: record.email,
            epoch: record.epoch,
            created_at: timestamp(record.created_at),
            expires_at: timestamp(record.expires_at),
        }
    }
}
