//! Bodies of `/notifications...` and `/notification-preferences`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, MessageId, NotificationId, UserId};

/// Something a user missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NotificationKind {
    /// A message in a conversation.
    Message,
}

/// How a user wants to be told of what they missed. What is told in the client itself is not a matter of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationPreferences {
    /// Whether by e-mail. Letters about the account itself are sent all the same.
    pub email: bool,
    /// Whether on the devices that the user has registered.
    pub push: bool,
    /// When nothing is sent: what comes up then is sent at their end, unless it has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
}

/// The same hours of every day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuietHours {
    /// When they begin, `22:00`.
    pub from: String,
    /// When they end, `07:00`; the day after where it is earlier.
    pub to: String,
    /// By which clock: a name of the IANA time zone database, `Europe/Warsaw`.
    pub time_zone: String,
}

impl Default for NotificationPreferences {
    /// Those of who has said nothing.
    fn default() -> Self {
        Self { email: true, push: true, quiet_hours: None }
    }
}
