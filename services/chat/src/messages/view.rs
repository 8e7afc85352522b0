//! A message as its readers see it.

use contract::id::UserId;
use contract::message::Message;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::MessageError;
use crate::crypto::{Keys, WrappedKey};
use crate::store::StoredMessage;

/// The body of a message in REST and in Socket.IO events: the contract's, and what says how it changed.
///
/// `seq` is the message's place and never changes; `changeSeq` is the number of its last change. A client's cursor for `resume` and
/// `changes?after=` is the greatest `changeSeq` (or `seq` of the conversation) up to which it has seen everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Message")]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// What the contract says.
    #[serde(flatten)]
    pub message: Message,
    /// When it was pinned, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_at: Option<Timestamp>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_by: Option<UserId>,
}

/// Decrypts a stored message for a reader. `key` is its conversation's.
pub fn view(keys: &Keys, key: &WrappedKey, stored: &StoredMessage) -> Result<MessageView, MessageError> {
    let text = match &stored.content {
        Some(sealed) => sealed.open(&keys.unwrap(stored.conversation_id, key)?, stored.binding())?,
        None => String::new(),
    };
    Ok(MessageView {
        message: Message {
            id: stored.id,
            conversation_id: stored.conversation_id,
            seq: stored.seq,
            change_seq: stored.change_seq,
            sender_id: stored.sender_id,
            text,
            created_at: stored.created_at,
            edited_at: stored.edited_at,
            deleted_at: stored.deleted_at,
            reply_to: stored.reply_to,
            thread_id: stored.thread_id,
            mention_ids: stored.mention_ids.clone(),
            reactions: stored.reactions.iter().map(|r| (r.emoji.clone(), r.user_ids.clone())).collect(),
            media_ids: stored.media_ids.clone(),
            nonce: stored.nonce.clone(),
        },
        pinned_at: stored.pin.map(|pin| pin.at),
        pinned_by: stored.pin.map(|pin| pin.by),
    })
}
