//! A notification as a document.

use contract::{
    event::MessageCreated,
    id::{ConversationId, DeviceId, MessageId, NotificationId, UserId},
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
    /// The message's place in its conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    sender_id: UserId,
    created_at: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_at: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) email: Option<DueSending>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) push: Option<DueSending>,
}

/// What is to be sent one way.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DueSending {
    /// From when on it may be tried; a worker that claims it moves this into the future.
    pub(super) due_at: DateTime,
    /// How many times it has been claimed.
    pub(super) attempts: u32,
    /// Since when it could have been sent, where that is not when it came up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<DateTime>,
    /// The devices that need not be tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) done: Vec<DeviceId>,
}

impl DueSending {
    pub(super) fn at(now: Timestamp) -> Self {
        Self { due_at: stored(now), attempts: 0, since: None, done: Vec::new() }
    }
}

impl Record {
    pub(super) fn of(
        id: NotificationId,
        user: UserId,
        message: &MessageCreated,
        now: Timestamp,
        email: Option<DueSending>,
        push: Option<DueSending>,
    ) -> Self {
        Self {
            id,
            user_id: user,
            kind: NotificationKind::Message,
            conversation_id: message.conversation_id,
            message_id: message.message_id,
            seq: i64::try_from(message.seq).ok(),
            sender_id: message.sender_id,
            created_at: stored(now),
            read_at: None,
            email,
            push,
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
