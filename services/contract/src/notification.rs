//! Bodies of `/notifications...`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, MessageId, NotificationId, UserId};

/// Something a user missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Identity.
    pub id: NotificationId,
    /// Whom it is for.
    pub user_id: UserId,
    /// What it is about.
    pub kind: NotificationKind,
    /// Where it happened.
    pub conversation_id: ConversationId,
    /// The message.
    pub message_id: MessageId,
    /// Who caused it.
    pub sender_id: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the user read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationKind {
    /// A message in a conversation.
    Message,
}
