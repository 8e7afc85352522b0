//! A notification as a document.

use contract::{
    event::MessageCreated,
    id::{ConversationId, MessageId, NotificationId, UserId},
    notification::{Notification, NotificationKind},
};
use jiff::Timestamp;
use mongodb::bson::DateTime;
use serde::{Deserialize, Serialize};

use crate::store::{restored, stored};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(rename = "_id")]
    pub(super) id: NotificationId,
    user_id: UserId,
    kind: NotificationKind,
    conversation_id: ConversationId,
    message_id: MessageId,
    sender_id: UserId,
    created_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_at: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<DueEmail>,
}

/// An e-mail that is to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DueEmail {
    /// From when on it may be tried; a worker that claims it moves this into the future.
    pub(super) due_at: DateTime,
    /// How many times it has been claimed.
    pub(super) attempts: u32,
}

impl Record {
    pub(super) fn of(
        id: NotificationId,
        user: UserId,
        message: &MessageCreated,
        now: Timestamp,
        email: Option<DueEmail>,
    ) -> Self {
        Self {
            id,
            user_id: user,
            kind: NotificationKind::Message,
            conversation_id: message.conversation_id,
            message_id: message.message_id,
            sender_id: message.sender_id,
            created_at: stored(now),
            read_at: None,
            email,
        }
    }
}

impl From<Record> for Notification {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            user_id: record.user_id,
            kind: record.kind,
            conversation_id: record.conversation_id,
            message_id: record.message_id,
            sender_id: record.sender_id,
            created_at: restored(record.created_at),
            read_at: record.read_at.map(restored),
        }
    }
}
