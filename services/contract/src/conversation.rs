//! Bodies of `/conversations...`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ConversationId, UserId};

/// A conversation as its members see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// Identity.
    pub id: ConversationId,
    /// Direct or group.
    #[serde(rename = "type")]
    pub kind: ConversationType,
    /// Name of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who takes part.
    pub members: Vec<Member>,
    /// The highest sequence number given to a change so far; 0 while there is none.
    pub seq: u64,
    /// When the last message was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message_at: Option<Timestamp>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When anything about the conversation itself last changed.
    pub updated_at: Timestamp,
    /// How far each member has read, as a sequence number.
    pub read: BTreeMap<UserId, u64>,
    /// What is the reader's alone. Only in answers to a request; what all members are told has none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Own>,
}

/// How a conversation stands for one of its members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Own {
    /// Messages of others beyond the member's read mark, deleted ones not counted; 1000 stands for that many or more.
    pub unread: u64,
    /// Those of them that mention the member; 1000 stands for that many or more.
    pub unread_mentions: u64,
    /// Whether the member wants no notifications of it now, mentions excepted.
    pub muted: bool,
    /// Until when; absent if it is until they say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
}

/// Body of `PUT /conversations/{id}/mute`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mute {
    /// Until when; absent for as long as nobody says otherwise.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// Between whom a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConversationType {
    /// Two people; there is one such conversation for each pair.
    Direct,
    /// Any number of people, with roles.
    Group,
}

/// One who takes part in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Who.
    pub user_id: UserId,
    /// What they may do in it.
    pub role: MemberRole,
}

/// What a member may do in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// Reads and writes.
    Member,
    /// Also adds and removes members and renames.
    Admin,
    /// Also makes admins and deletes the conversation.
    Owner,
}

/// Body of `POST /conversations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewConversation {
    /// Direct or group.
    #[serde(rename = "type")]
    pub kind: ConversationType,
    /// Name of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The others; the caller is a member anyway.
    pub member_ids: Vec<UserId>,
}

/// Body of `PUT /conversations/{id}/read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Read {
    /// Everything up to this sequence number has been read.
    pub seq: u64,
}
