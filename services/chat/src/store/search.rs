//! Finding messages by the tokens of their words.

use contract::id::{ConversationId, MessageId, UserId};
use futures::TryStreamExt as _;
use mongodb::bson::{Binary, Document, doc};
use serde::Deserialize;

use super::{Store, StoreError, StoredMessage};
use crate::crypto::WrappedKey;

/// A conversation that can be searched.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Searched {
    /// Which.
    #[serde(rename = "_id")]
    pub id: ConversationId,
    /// Its data key.
    pub data_key: WrappedKey,
}

impl Store {
    /// The conversations of a user, or the one of them that is asked for, by ascending id from behind `after` on.
    pub async fn searchable(
        &self,
        member: UserId,
        only: Option<ConversationId>,
        after: Option<ConversationId>,
        limit: i64,
    ) -> Result<Vec<Searched>, StoreError> {
        let mut filter = doc! {"members.userId": member.to_string(), "dataKey": {"$exists": true}};
        match (only, after) {
            (Some(only), _) => filter.insert("_id", only.to_string()),
            (None, Some(after)) => filter.insert("_id", doc! {"$gt": after.to_string()}),
            (None, None) => None,
        };
        let conversations = self.conversations.with_type::<Searched>();
        let conversations = conversations.now();
        let found = conversations.find(filter).projection(doc! {"dataKey": 1});
        Ok(found.sort(doc! {"_id": 1}).limit(limit).await?.try_collect().await?)
    }

    /// Messages that have all of a conversation's tokens, in any of the conversations, older than `before`, newest first.
    pub async fn with_tokens(
        &self,
        wanted: &[(ConversationId, Vec<Binary>)],
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let any: Vec<Document> = wanted
            .iter()
            .map(|(conversation, tokens)| {
                let mut filter = doc! {"conversationId": conversation.to_string(), "tokens": {"$all": tokens}};
                if let Some(before) = before {
                    filter.insert("_id", doc! {"$lt": before.to_string()});
                }
                filter
            })
            .collect();
        self.find_messages(doc! {"$or": any}, doc! {"_id": -1}, limit).await
    }
}
