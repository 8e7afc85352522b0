//! Where messages are looked for by the tokens of their words: in `MongoDB`, or in an `OpenSearch` that is fed from there.
//!
//! Whoever finds them, only ids come from there. Who may read what, what a message says and whether it holds the words is decided by
//! [`Messages::search`](crate::messages::Messages::search), from what `MongoDB` has.

mod feeding;
mod opensearch;
mod upkeep;

use std::cmp::Reverse;

use contract::id::{ConversationId, MessageId};
use mongodb::bson::Binary;

pub use feeding::Feeding;
pub use opensearch::{OpenSearch, OpenSearchError, OpenSearchSettingsError};
pub use upkeep::keep_token_index;

use crate::store::{Store, StoreError, StoredMessage};

/// So many conversations are looked through at a time.
const MOST_CONVERSATIONS: usize = 100;
/// Terms of one query: Lucene's own limit is 1,024 (`indices.query.bool.max_clause_count`).
const MOST_TERMS: usize = 900;

/// What is looked for: the tokens of a conversation that a message has to have all of.
pub type Wanted = (ConversationId, Vec<Binary>);

/// Finds messages by tokens. Clones lead to the same place.
#[derive(Clone, Debug)]
pub struct Index {
    store: Store,
    opensearch: Option<OpenSearch>,
}

/// Why nothing could be looked for.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// `MongoDB` failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index is being made, and until it is whole nothing else finds messages.
    #[error("the index is being made")]
    InTheMaking,
    /// `OpenSearch` failed.
    #[error("OpenSearch: {0}")]
    OpenSearch(#[from] OpenSearchError),
}

/// Some of the messages that were looked for.
#[derive(Debug)]
pub struct Candidates {
    /// Newest first, as they are now.
    pub messages: Vec<StoredMessage>,
    /// Where to go on, if there may be more.
    pub older_than: Option<MessageId>,
}

impl Index {
    /// In `MongoDB`, unless there is an `OpenSearch`.
    #[must_use]
    pub fn new(store: Store, opensearch: Option<OpenSearch>) -> Self {
        Self { store, opensearch }
    }

    /// In how many conversations so many words can be looked for at a time.
    #[must_use]
    pub fn batch(words: usize) -> usize {
        (MOST_TERMS / (words + 1)).clamp(1, MOST_CONVERSATIONS)
    }

    /// Messages that have all of a conversation's tokens, in any of at most [`Self::batch`] conversations, older than `before`, newest first.
    /// Some may have changed since the index last heard of them.
    pub async fn candidates(
        &self,
        wanted: &[Wanted],
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Candidates, SearchError> {
        if let Some(opensearch) = self.complete().await? {
            let ids = opensearch.find(wanted, before, limit).await?;
            let older_than = ids.last().copied().filter(|_| ids.len() >= limit);
            let mut messages = self.store.messages_of(&ids).await?;
            messages.sort_unstable_by_key(|message| Reverse(message.id));
            return Ok(Candidates { messages, older_than });
        }
        let messages = self.store.with_tokens(wanted, before, limit).await?.ok_or(SearchError::InTheMaking)?;
        let older_than = messages.last().map(|message| message.id).filter(|_| messages.len() >= limit);
        Ok(Candidates { messages, older_than })
    }

    /// The `OpenSearch` that there is, once it holds all messages. Until then, what `MongoDB` finds is more.
    async fn complete(&self) -> Result<Option<&OpenSearch>, StoreError> {
        let Some(opensearch) = &self.opensearch else { return Ok(None) };
        let state = self.store.index_state(opensearch.place()).await?;
        Ok(state.is_some_and(|state| state.complete).then_some(opensearch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_words_are_looked_for_a_query_stays_within_the_limit_of_terms() {
        for words in 1..=512 {
            let batch = Index::batch(words);
            assert!((1..=MOST_CONVERSATIONS).contains(&batch) && batch * (words + 1) <= MOST_TERMS, "{words}: {batch}");
        }
    }
}
