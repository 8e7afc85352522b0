//! What is missing, from the database.

use contract::id::{ConversationId, UserId};
use jiff::Timestamp;

use super::order::Fetch;
use crate::store::{Store, StoreError, StoredConversation, StoredMessage};

/// Most changes fetched at once.
const LARGEST: usize = 500;

/// What was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) id: ConversationId,
    pub(super) conversation: Option<StoredConversation>,
    /// The number from which on it is, and up to which.
    pub(super) after: u64,
    pub(super) up_to: u64,
    /// Messages, by the number of their last change.
    pub(super) changes: Vec<StoredMessage>,
    /// Members who came in between, to whom the conversation is new.
    pub(super) newcomers: Vec<UserId>,
    /// Members who went.
    pub(super) leavers: Vec<UserId>,
}

/// Fetches all that comes after what has been passed on; where that is unknown, what was changed since a moment, and what has just been told of,
/// whatever the clocks said when it was written.
pub(super) async fn fetch(store: &Store, wanted: Fetch, since: Timestamp) -> Result<Fetched, StoreError> {
    let Fetch { conversation: id, after: passed_on, first } = wanted;
    let conversation = store.conversation(id).await?;
    let after = if let Some(after) = passed_on {
        after
    } else {
        let before = store.seq_before(id, since).await?;
        first.map_or(before, |first| before.min(first.saturating_sub(1)))
    };
    let mut changes = store.changes(id, after, LARGEST).await?;
    let is_all = changes.len() < LARGEST;
    // What came after the conversation was read is left for later: how that was then, who came and who went, is not known here.
    let seq = conversation.as_ref().map_or(after, |conversation| conversation.seq);
    changes.retain(|message| message.change_seq <= seq);
    let up_to = if is_all { seq.max(after) } else { changes.last().map_or(after, |message| message.change_seq) };
    let is_news = |seq: u64, at: Timestamp| match passed_on {
        Some(after) => (after + 1..=up_to).contains(&seq),
        None => at >= since,
    };
    let (mut newcomers, mut leavers) = (Vec::new(), Vec::new());
    if let Some(conversation) = &conversation {
        let new = conversation.members.iter().filter(|member| is_news(member.joined_seq, member.joined_at));
        newcomers.extend(new.map(|member| member.user_id));
        let gone = conversation.left.iter().filter(|leaver| is_news(leaver.seq, leaver.at));
        leavers.extend(gone.map(|leaver| leaver.user_id));
    }
    Ok(Fetched { id, conversation, after, up_to, changes, newcomers, leavers })
}
