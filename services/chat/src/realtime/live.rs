//! What connected members are told, in the form in which it travels between replicas: texts stay sealed.

use std::collections::HashSet;

use contract::id::{ConversationId, UserId};
use serde::{Deserialize, Serialize};

use crate::crypto::WrappedKey;
use crate::store::{StoredConversation, StoredMessage};

/// Something that members shall see at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Live {
    /// A message was sent or changed.
    Message {
        /// Who is to know.
        members: Vec<UserId>,
        /// The key of its conversation.
        key: WrappedKey,
        /// The message as stored, sealed.
        message: Box<StoredMessage>,
        /// Who left a short while ago: this is nothing to them, but what comes before it may be.
        #[serde(default)]
        left: Vec<UserId>,
    },
    /// A conversation was opened, or its title or members changed.
    Conversation {
        /// As it is now.
        conversation: Box<StoredConversation>,
        /// Those of its members for whom it is new.
        newcomers: Vec<UserId>,
        /// Those who were members until now.
        leavers: Vec<UserId>,
    },
    /// A member has read up to a message.
    Read {
        /// Where.
        conversation_id: ConversationId,
        /// Who is to know.
        members: Vec<UserId>,
        /// Who has read.
        user_id: UserId,
        /// Up to where.
        seq: u64,
    },
    /// A member types, or no longer.
    Typing {
        /// Where.
        conversation_id: ConversationId,
        /// Who is to know.
        members: Vec<UserId>,
        /// Who types.
        user_id: UserId,
        /// Whether they still do.
        active: bool,
    },
    /// A user came or went.
    Presence {
        /// Who is to know: everybody who shares a conversation with the user.
        members: Vec<UserId>,
        /// Who.
        user_id: UserId,
        /// Whether they are connected now.
        online: bool,
    },
}

impl Live {
    /// About a message that was just stored.
    #[must_use]
    pub fn message(conversation: &StoredConversation, key: &WrappedKey, mut message: StoredMessage) -> Self {
        message.outbox.clear();
        message.tokens.clear();
        let left = conversation.left.iter().map(|leaver| leaver.user_id).collect();
        Self::Message { members: conversation.member_ids(), key: key.clone(), message: Box::new(message), left }
    }

    /// About a conversation that was just stored.
    #[must_use]
    pub fn conversation(mut conversation: StoredConversation, newcomers: Vec<UserId>, leavers: Vec<UserId>) -> Self {
        conversation.outbox.clear();
        conversation.data_key = None;
        conversation.mutes.clear();
        Self::Conversation { conversation: Box::new(conversation), newcomers, leavers }
    }

    /// The number of the change it tells of, and in which conversation: 0 of its opening; none if it tells of something fleeting.
    #[must_use]
    pub fn place(&self) -> Option<(ConversationId, u64)> {
        match self {
            Self::Message { message, .. } => Some((message.conversation_id, message.change_seq)),
            Self::Conversation { conversation, .. } => Some((conversation.id, conversation.seq)),
            Self::Read { .. } | Self::Typing { .. } | Self::Presence { .. } => None,
        }
    }

    /// Who is to know of this or, for all that is said here, of something before it.
    #[must_use]
    pub fn concerned(&self) -> HashSet<UserId> {
        let mut concerned = self.audience();
        match self {
            Self::Message { left, .. } => concerned.extend(left),
            Self::Conversation { conversation, .. } => concerned.extend(conversation.concerned()),
            Self::Read { .. } | Self::Typing { .. } | Self::Presence { .. } => {}
        }
        concerned
    }

    /// Who is to know.
    #[must_use]
    pub fn audience(&self) -> HashSet<UserId> {
        match self {
            Self::Message { members, .. }
            | Self::Read { members, .. }
            | Self::Typing { members, .. }
            | Self::Presence { members, .. } => members.iter().copied().collect(),
            Self::Conversation { conversation, leavers, .. } => {
                conversation.members.iter().map(|member| member.user_id).chain(leavers.iter().copied()).collect()
            }
        }
    }
}
