//! Bodies of `/conversations/{id}/messages...` and of the Socket.IO events that carry a message.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, MediaId, MessageId, UserId};

/// A message, the same in REST and Socket.IO.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Identity.
    pub id: MessageId,
    /// Where it was said.
    pub conversation_id: ConversationId,
    /// Number of the message in its conversation, given at its creation: the order in which it is read.
    pub seq: u64,
    /// Number of the message's last change in its conversation, `seq` while there was none: what a reader's cursor counts.
    pub change_seq: u64,
    /// Who said it.
    pub sender_id: UserId,
    /// What was said; empty once deleted.
    pub text: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it was last edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The first message of the thread it belongs to, which is the one that the first answer answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<MessageId>,
    /// The members whom it mentions, by `@name` or `@all`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mention_ids: Vec<UserId>,
    /// Who reacted, by emoji.
    #[serde(default)]
    pub reactions: BTreeMap<String, Vec<UserId>>,
    /// Files that belong to it.
    #[serde(default)]
    pub media_ids: Vec<MediaId>,
    /// What the sender chose to recognise a retry by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

impl fmt::Debug for Message {
    // What people say never enters a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("conversation_id", &self.conversation_id)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// Body of `POST /conversations/{id}/messages`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewMessage {
    /// What to say.
    pub text: String,
    /// A retry with the same nonce returns the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// Files that belong to it.
    #[serde(default)]
    pub media_ids: Vec<MediaId>,
}

impl fmt::Debug for NewMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMessage").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

/// Body of `PATCH /conversations/{id}/messages/{messageId}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EditMessage {
    /// What it shall say from now on.
    pub text: String,
}

impl fmt::Debug for EditMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EditMessage").finish_non_exhaustive()
    }
}
