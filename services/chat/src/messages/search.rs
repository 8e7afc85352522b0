//! Search over the reader's own conversations.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use contract::id::{ConversationId, MessageId, UserId};
use contract::problem::FieldError;
use runtime::telemetry::chain;

use super::words::words;
use super::{MessageError, MessageView, Messages, view};
use crate::crypto::WrappedKey;
use crate::search::{Index, Wanted};
use crate::store::Searched;

/// Most words of one query.
const MOST_WORDS: usize = 16;
/// Longest query, in characters.
const LONGEST_QUERY: usize = 256;

impl Messages {
    /// Messages that hold all words of a query, in the reader's conversations or one of them, older than `before`, newest first; at most `limit`.
    pub async fn search(
        &self,
        reader: UserId,
        query: &str,
        only: Option<ConversationId>,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<MessageView>, MessageError> {
        let wanted = words(query);
        if query.chars().count() > LONGEST_QUERY || !(1..=MOST_WORDS).contains(&wanted.len()) {
            let message = format!("must hold 1 to {MOST_WORDS} words in at most {LONGEST_QUERY} characters");
            return Err(MessageError::Invalid(vec![FieldError { field: "q".into(), message }]));
        }
        let size = i64::try_from(Index::batch(wanted.len())).unwrap_or(1);
        let mut found: Vec<MessageView> = Vec::new();
        let mut after = None;
        loop {
            let batch = self.0.store.searchable(reader, only, after, size).await?;
            let Some(last) = batch.last().map(|conversation| conversation.id) else { break };
            let mut tokens = Vec::with_capacity(batch.len());
            for conversation in &batch {
                let key = self.0.keys.unwrap(conversation.id, &conversation.data_key)?;
                tokens.push((conversation.id, key.search_key(conversation.id).tokens(&wanted)));
            }
            self.look_through(&batch, &tokens, &wanted, before, limit, &mut found).await?;
            found.sort_unstable_by_key(|seen| Reverse(seen.message.id));
            found.truncate(limit);
            after = Some(last);
            if only.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// Adds messages of a batch of conversations, newest first, until there are `limit` more or no others.
    async fn look_through(
        &self,
        batch: &[Searched],
        tokens: &[Wanted],
        wanted: &BTreeSet<String>,
        mut before: Option<MessageId>,
        limit: usize,
        found: &mut Vec<MessageView>,
    ) -> Result<(), MessageError> {
        let enough = found.len() + limit;
        loop {
            let candidates = self.0.index.candidates(tokens, before, limit).await.inspect_err(|error| {
                tracing::warn!(error = chain(error), "cannot search");
            })?;
            for message in candidates.messages {
                // Only what is in these conversations is the reader's.
                let key = batch.iter().find(|c| c.id == message.conversation_id).map(|c| &c.data_key);
                let Some(key): Option<&WrappedKey> = key else { continue };
                let seen = view(&self.0.keys, key, &message)?;
                // Two words may share a token, and the index may not have heard of a change yet: the text decides.
                if words(&seen.message.text).is_superset(wanted) {
                    found.push(seen);
                }
            }
            before = candidates.older_than;
            if before.is_none() || found.len() >= enough {
                return Ok(());
            }
        }
    }
}
