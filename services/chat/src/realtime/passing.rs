//! How the sockets of this replica are told of a change: which event, with which body, to whom.

use std::collections::HashSet;

use contract::id::{ConversationId, MessageId, UserId};
use serde::Serialize;

use super::{Hub, Live};
use crate::crypto::{Keys, WrappedKey};
use crate::messages;
use crate::store::{StoredConversation, StoredMessage};

/// Tells sockets.
pub(super) struct Passing {
    pub(super) hub: Hub,
    pub(super) keys: Keys,
}

impl Passing {
    /// Tells those whom it concerns.
    pub(super) fn pass(&self, live: &Live) {
        let audience = live.audience();
        if !self.hub.has_any(&audience) {
            return;
        }
        match live {
            Live::Message { key, message, .. } => self.pass_message(&audience, key, message),
            Live::Conversation { conversation, newcomers, .. } => {
                let body = ConversationBody::of(conversation);
                let (new, old): (Vec<UserId>, Vec<UserId>) = audience.iter().partition(|user| newcomers.contains(user));
                self.hub.emit(&new, "conversation:new", &body);
                self.hub.emit(&old, "conversation:updated", &body);
            }
            Live::Read { conversation_id, user_id, seq, .. } => {
                let body = ReadBody { conversation_id: *conversation_id, user_id: *user_id, seq: *seq };
                self.hub.emit(&audience, "conversation:read", &body);
            }
            Live::Typing { conversation_id, user_id, active, .. } => {
                let body = TypingBody { conversation_id: *conversation_id, user_id: *user_id, active: *active };
                self.hub.emit(&audience, "typing", &body);
            }
            Live::Presence { user_id, online, .. } => {
                self.hub.emit(&audience, "presence", &PresenceBody { user_id: *user_id, online: *online });
            }
        }
    }

    fn pass_message(&self, audience: &HashSet<UserId>, key: &WrappedKey, message: &StoredMessage) {
        if message.deleted_at.is_some() {
            let body = DeletedBody {
                conversation_id: message.conversation_id,
                id: message.id,
                seq: message.seq,
                change_seq: message.change_seq,
            };
            return self.hub.emit(audience, "message:deleted", &body);
        }
        let event = if message.change_seq == message.seq { "message:new" } else { "message:updated" };
        match messages::view(&self.keys, key, message) {
            Ok(body) => self.hub.emit(audience, event, &body),
            Err(error) => {
                tracing::error!(error = error.to_string(), message = %message.id, "cannot read a message to pass it on");
            }
        }
    }

    /// Tells newcomers of a conversation, as far as they will be told of it up to `seq`.
    pub(super) fn introduce(&self, conversation: &StoredConversation, newcomers: &[UserId], seq: u64) {
        if self.hub.has_any(newcomers) {
            let mut body = ConversationBody::of(conversation);
            body.conversation.seq = seq;
            self.hub.emit(newcomers, "conversation:new", &body);
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConversationBody {
    conversation_id: ConversationId,
    #[serde(flatten)]
    conversation: contract::conversation::Conversation,
}

impl ConversationBody {
    fn of(conversation: &StoredConversation) -> Self {
        Self { conversation_id: conversation.id, conversation: conversation.view() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedBody {
    conversation_id: ConversationId,
    id: MessageId,
    seq: u64,
    change_seq: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadBody {
    conversation_id: ConversationId,
    user_id: UserId,
    seq: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TypingBody {
    conversation_id: ConversationId,
    user_id: UserId,
    active: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresenceBody {
    user_id: UserId,
    online: bool,
}
