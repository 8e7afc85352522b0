//! Data keys that are wrapped by a key-encryption key which is not the current one any more.

use std::collections::BTreeMap;

use contract::id::ConversationId;
use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use serde::Deserialize;

use super::{Store, StoreError};
use crate::crypto::WrappedKey;

/// A conversation and its data key.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wrapped {
    #[serde(rename = "_id")]
    pub(crate) id: ConversationId,
    pub(crate) data_key: WrappedKey,
}

impl Store {
    /// Replaces the wrapping of a data key, unless somebody else has.
    pub async fn rewrap(&self, id: ConversationId, from: &WrappedKey, to: &WrappedKey) -> Result<(), StoreError> {
        let encode = |key: &WrappedKey| mongodb::bson::serialize_to_bson(key).map_err(mongodb::error::Error::from);
        let filter = doc! {"_id": id.to_string(), "dataKey": encode(from)?};
        self.conversations.now().update_one(filter, doc! {"$set": {"dataKey": encode(to)?}}).await?;
        Ok(())
    }

    /// How many data keys are wrapped by another key-encryption key than this one, by the id of that.
    pub(crate) async fn count_not_wrapped_by(&self, key_id: &str) -> Result<BTreeMap<String, u64>, StoreError> {
        #[derive(Deserialize)]
        struct Counted {
            #[serde(rename = "_id")]
            id: String,
            count: i64,
        }

        let by_id = doc! {"$group": {"_id": "$dataKey.keyId", "count": {"$sum": 1_i64}}};
        let conversations = self.conversations.now();
        let counted = conversations.aggregate([doc! {"$match": not_wrapped_by(key_id)}, by_id]);
        let counted: Vec<Counted> = counted.with_type().await?.try_collect().await?;
        Ok(counted.into_iter().map(|Counted { id, count }| (id, count.unsigned_abs())).collect())
    }

    /// Some of them, by ascending id from behind `after` on.
    pub(crate) async fn not_wrapped_by(
        &self,
        key_id: &str,
        after: Option<ConversationId>,
        limit: i64,
    ) -> Result<Vec<Wrapped>, StoreError> {
        let mut filter = not_wrapped_by(key_id);
        if let Some(after) = after {
            filter.insert("_id", doc! {"$gt": after.to_string()});
        }
        let conversations = self.conversations.with_type::<Wrapped>();
        let conversations = conversations.now();
        let found = conversations.find(filter).projection(doc! {"dataKey": 1});
        Ok(found.sort(doc! {"_id": 1}).limit(limit).await?.try_collect().await?)
    }
}

fn not_wrapped_by(key_id: &str) -> Document {
    doc! {"dataKey": {"$exists": true}, "dataKey.keyId": {"$ne": key_id}}
}
