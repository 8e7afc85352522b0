//! The documents of the database `chat`.
//!
//! Each holds its own outbox: the events of a change are written by the change itself, so neither is ever there without the other.

use std::collections::{BTreeMap, BTreeSet};

use contract::conversation::{Conversation, ConversationType, Member, MemberRole};
use contract::event::Envelope;
use contract::id::{ConversationId, MediaId, MessageId, UserId};
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::Binary;
use serde::{Deserialize, Serialize};

use super::time;
use crate::crypto::{Binding, Sealed, WrappedKey};

/// So long a conversation knows of those who left it. Every replica has looked for changes several times by then.
const LEFT_LATELY: SignedDuration = SignedDuration::from_mins(2);

/// A document of the collection `conversations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredConversation {
    /// Identity.
    #[serde(rename = "_id")]
    pub id: ConversationId,
    /// Direct or group.
    #[serde(rename = "type")]
    pub kind: ConversationType,
    /// Name of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who takes part, in the order of joining; empty once deleted.
    pub members: Vec<StoredMember>,
    /// Who left a short while ago, and may not have been told of it yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<StoredLeaver>,
    /// Of a direct conversation: its two members, sorted, joined by `:`. Unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_key: Option<String>,
    /// Of a group: what its creator chose to recognise a retry by. Unique per creator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_key: Option<String>,
    /// Who opened it.
    pub created_by: UserId,
    /// The highest sequence number given to a change.
    pub seq: u64,
    /// Absent once the conversation is deleted: nothing can read its messages then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_key: Option<WrappedKey>,
    /// How far each member has read.
    #[serde(default)]
    pub read: BTreeMap<UserId, u64>,
    /// Members who were not connected when something was sent, and have not read to its end since: others are told when they do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub missed: BTreeSet<UserId>,
    /// Which members have muted it.
    #[serde(default)]
    pub mutes: BTreeMap<UserId, StoredMute>,
    /// When the last message was sent.
    #[serde(default, with = "time::option", skip_serializing_if = "Option::is_none")]
    pub last_message_at: Option<Timestamp>,
    /// What lists are sorted by: the last message, or the opening.
    #[serde(with = "time")]
    pub activity_at: Timestamp,
    /// When it was opened.
    #[serde(with = "time")]
    pub created_at: Timestamp,
    /// When title or members last changed.
    #[serde(with = "time")]
    pub updated_at: Timestamp,
    /// When anything at all last changed, messages and read marks included.
    #[serde(with = "time")]
    pub changed_at: Timestamp,
    /// When it was deleted.
    #[serde(default, with = "time::option", skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Events not yet confirmed by the broker.
    #[serde(default)]
    pub outbox: Vec<Envelope>,
}

/// One who takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMember {
    /// Who.
    pub user_id: UserId,
    /// What they may do.
    pub role: MemberRole,
    /// Since when.
    #[serde(with = "time")]
    pub joined_at: Timestamp,
    /// The number of the change by which they came; 0 for those who were there from the beginning.
    #[serde(default)]
    pub joined_seq: u64,
}

/// One who took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredLeaver {
    /// Who.
    pub user_id: UserId,
    /// The number of the change by which they went.
    pub seq: u64,
    /// When.
    #[serde(with = "time")]
    pub at: Timestamp,
}

/// That a member has muted a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMute {
    /// Until when; absent for as long as nobody says otherwise.
    #[serde(default, with = "time::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A document of the collection `names`: by which name a user can be mentioned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredName {
    /// Whose.
    #[serde(rename = "_id")]
    pub user: UserId,
    /// The user name in lower case.
    pub name: String,
}

/// A document of the collection `messages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredMessage {
    /// Identity.
    #[serde(rename = "_id")]
    pub id: MessageId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Its place in the conversation, given when it was sent.
    pub seq: u64,
    /// The sequence number of its last change; equal to `seq` until then.
    pub change_seq: u64,
    /// Who wrote it.
    pub sender_id: UserId,
    /// The text; absent once deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Sealed>,
    /// How often the text has been edited.
    #[serde(default)]
    pub revision: u32,
    /// What its words are found by (see [`SearchKey`](crate::crypto::SearchKey)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Binary>,
    /// When it was stored.
    #[serde(with = "time")]
    pub created_at: Timestamp,
    /// When it last changed in any way.
    #[serde(with = "time")]
    pub changed_at: Timestamp,
    /// When its text was last edited.
    #[serde(default, with = "time::option", skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    #[serde(default, with = "time::option", skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// The first message of the thread that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<MessageId>,
    /// The members whom it mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mention_ids: Vec<UserId>,
    /// Files that belong to it.
    #[serde(default)]
    pub media_ids: Vec<MediaId>,
    /// What the sender recognises a retry by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// In the order in which each emoji was first used.
    #[serde(default)]
    pub reactions: Vec<Reaction>,
    /// Who pinned it and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// The lane of its conversation, by which its events leave.
    #[serde(default)]
    pub outbox_lane: i32,
    /// Events not yet confirmed by the broker.
    #[serde(default)]
    pub outbox: Vec<Envelope>,
}

/// Who reacted with one emoji.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reaction {
    /// With what. Not a field's name: it could hold a dot or a dollar.
    pub emoji: String,
    /// Who, in order.
    pub user_ids: Vec<UserId>,
}

/// That a message is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// Who pinned it.
    pub by: UserId,
    /// When.
    #[serde(with = "time")]
    pub at: Timestamp,
}

impl StoredConversation {
    /// The role of a user, if they are a member.
    #[must_use]
    pub fn role_of(&self, user: UserId) -> Option<MemberRole> {
        self.members.iter().find(|member| member.user_id == user).map(|member| member.role)
    }

    /// The ids of all members.
    #[must_use]
    pub fn member_ids(&self) -> Vec<UserId> {
        self.members.iter().map(|member| member.user_id).collect()
    }

    /// Takes note that members leave with the next change. Of those who left before, it keeps who may not know yet.
    pub fn note_leavers(&mut self, leavers: impl IntoIterator<Item = UserId>, now: Timestamp) {
        let forgotten = now.checked_sub(LEFT_LATELY).unwrap_or(Timestamp::MIN);
        let seq = self.seq + 1;
        self.left.retain(|leaver| leaver.at >= forgotten);
        self.left.extend(leavers.into_iter().map(|user_id| StoredLeaver { user_id, seq, at: now }));
    }

    /// Everybody who may have to be told of a change: the members, and who left a short while ago.
    pub fn concerned(&self) -> impl Iterator<Item = UserId> {
        self.members.iter().map(|member| member.user_id).chain(self.left.iter().map(|leaver| leaver.user_id))
    }

    /// The conversation as its members see it.
    #[must_use]
    pub fn view(&self) -> Conversation {
        Conversation {
            id: self.id,
            kind: self.kind,
            title: self.title.clone(),
            members: self.members.iter().map(|m| Member { user_id: m.user_id, role: m.role }).collect(),
            seq: self.seq,
            last_message_at: self.last_message_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
            read: self.read.clone(),
            own: None,
        }
    }

    /// The mute of a user, if it holds at that moment.
    #[must_use]
    pub fn mute_of(&self, user: UserId, now: Timestamp) -> Option<StoredMute> {
        self.mutes.get(&user).copied().filter(|mute| mute.until.is_none_or(|until| now < until))
    }
}

impl StoredMessage {
    /// What its text is bound to.
    #[must_use]
    pub fn binding(&self) -> Binding {
        let Self { conversation_id, id, sender_id, revision, .. } = *self;
        Binding { conversation: conversation_id, message: id, sender: sender_id, revision }
    }

    /// The first message of its thread, which is itself if it answers none.
    #[must_use]
    pub fn thread(&self) -> MessageId {
        self.thread_id.unwrap_or(self.id)
    }
}
