//! Finding messages by the tokens of their words.

use contract::id::{ConversationId, MessageId, UserId};
use futures::TryStreamExt as _;
use mongodb::bson::{Binary, Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::Hint;
use serde::Deserialize;

use super::indexes::TOKENS;
use super::{Store, StoreError, StoredMessage, int_limit};
use crate::crypto::WrappedKey;

/// `BadValue` and `NoQueryExecutionPlans`: what a server answers where the index that is asked for is not there.
const NO_SUCH_INDEX: [i32; 2] = [2, 291];

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

    /// Messages that have all of a conversation's tokens, in any of the conversations, older than `before`, newest first. None where the index
    /// that they are found by is not there, or not whole yet: without it every message would have to be read.
    pub async fn with_tokens(
        &self,
        wanted: &[(ConversationId, Vec<Binary>)],
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Option<Vec<StoredMessage>>, StoreError> {
        if wanted.is_empty() {
            return Ok(Some(Vec::new()));
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
        let messages = self.messages.now();
        let found = messages.find(doc! {"$or": any}).sort(doc! {"_id": -1}).limit(int_limit(limit));
        match found.hint(Hint::Name(TOKENS.to_owned())).await {
            Ok(found) => Ok(Some(found.try_collect().await?)),
            Err(error) if has_no_index(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Those of these messages that are there, in no order.
    pub async fn messages_of(&self, ids: &[MessageId]) -> Result<Vec<StoredMessage>, StoreError> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        Ok(self.messages.now().find(doc! {"_id": {"$in": ids}}).await?.try_collect().await?)
    }
}

fn has_no_index(error: &mongodb::error::Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command) if NO_SUCH_INDEX.contains(&command.code) && command.message.contains("hint"))
}
