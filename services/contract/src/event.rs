//! Events: what services tell one another through the topic exchange `chat.events`.
//!
//! The routing key is the event's type, the body the JSON of its data, and the attributes of
//! [CloudEvents 1.0](https://github.com/cloudevents/spec) travel as headers of the message, in the binary mode of its AMQP binding.
//! Events carry ids and what a consumer needs, never the plaintext of a message.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    conversation::{ConversationType, MemberRole},
    id::{ConversationId, EventId, MediaId, MessageId, SessionId, UserId},
    trace::TraceParent,
};

/// The topic exchange of all events.
pub const EXCHANGE: &str = "chat.events";

/// Names of the headers that carry an event's attributes.
pub mod header {
    /// Identity of the event; together with the source unique.
    pub const ID: &str = "cloudEvents:id";
    /// The service it comes from.
    pub const SOURCE: &str = "cloudEvents:source";
    /// Its type, equal to the routing key.
    pub const TYPE: &str = "cloudEvents:type";
    /// When it happened, RFC 3339.
    pub const TIME: &str = "cloudEvents:time";
    /// Version of the `CloudEvents` specification.
    pub const SPEC_VERSION: &str = "cloudEvents:specversion";
}

/// An event with its attributes, as it is stored in an outbox and as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<T = Event> {
    /// Identity; a consumer that has seen it has done its work.
    pub id: EventId,
    /// The service it comes from.
    pub source: String,
    /// When it happened.
    pub time: Timestamp,
    /// The trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<TraceParent>,
    /// What happened.
    pub event: T,
}

impl Envelope {
    /// A fresh envelope around `event`.
    pub fn new(
        source: &str,
        event: Event,
        trace_parent: Option<TraceParent>,
        now: Timestamp,
        rng: &mut (impl rand::Rng + ?Sized),
    ) -> Self {
        Self { id: EventId::new(now, rng), source: source.to_owned(), time: now, trace_parent, event }
    }
}

/// Why a message from the broker is not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The type is none of ours: a newer service sent it.
    #[error("unknown type of event {0:?}")]
    UnknownKind(String),
    /// The data do not fit the type.
    #[error("malformed data of an event {kind:?}")]
    Malformed {
        /// The event's type.
        kind: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($data:ty) = $kind:literal,)*) => {
        /// What happened.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type", content = "data")]
        pub enum Event {
            $($(#[$doc])* #[serde(rename = $kind)] $variant($data),)*
        }

        impl Event {
            /// The type of every event there is.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The type, which is the routing key too.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $kind,)* }
            }

            /// The data as JSON: the body on the broker.
            pub fn data(&self) -> Result<Value, serde_json::Error> {
                match self { $(Self::$variant(data) => serde_json::to_value(data),)* }
            }

            /// The event of type `kind` whose data are the JSON in `body`.
            pub fn parse(kind: &str, body: &[u8]) -> Result<Self, EventError> {
                match kind {
                    $($kind => serde_json::from_slice(body)
                        .map(Self::$variant)
                        .map_err(|source| EventError::Malformed { kind: kind.to_owned(), source }),)*
                    _ => Err(EventError::UnknownKind(kind.to_owned())),
                }
            }
        }

        $(impl From<$data> for Event {
            fn from(data: $data) -> Self {
                Self::$variant(data)
            }
        })*
    };
}

events! {
    /// A message was sent.
    MessageCreated(MessageCreated) = "message.created",
    /// A message was edited.
    MessageEdited(MessageEdited) = "message.edited",
    /// A message was deleted.
    MessageDeleted(MessageDeleted) = "message.deleted",
    /// A conversation was opened.
    ConversationCreated(ConversationCreated) = "conversation.created",
    /// Someone joined a conversation.
    MemberAdded(MemberAdded) = "conversation.member-added",
    /// Someone left a conversation or was removed.
    MemberRemoved(MemberRemoved) = "conversation.member-removed",
    /// Someone who missed something in a conversation has read on.
    ConversationRead(ConversationRead) = "conversation.read",
    /// An account was made.
    UserRegistered(UserRegistered) = "user.registered",
    /// An account has another name or picture.
    UserUpdated(UserUpdated) = "user.updated",
    /// An account is gone for good.
    UserDeleted(UserDeleted) = "user.deleted",
    /// Someone is to show that mail to an address reaches them.
    EmailVerificationRequested(EmailVerificationRequested) = "user.email-verification-requested",
    /// An account has another address.
    EmailChanged(EmailChanged) = "user.email-changed",
    /// Someone has forgotten a password.
    PasswordResetRequested(PasswordResetRequested) = "user.password-reset-requested",
    /// A password was changed or reset.
    PasswordChanged(PasswordChanged) = "user.password-changed",
    /// Logging in takes a second step now, or no longer does.
    SecondStepChanged(SecondStepChanged) = "user.second-step-changed",
    /// A session was ended before its time.
    SessionRevoked(SessionRevoked) = "session.revoked",
}

/// Data of `message.created`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageCreated {
    /// Where.
    pub conversation_id: ConversationId,
    /// The message.
    pub message_id: MessageId,
    /// Its sequence number.
    pub seq: u64,
    /// Who sent it.
    pub sender_id: UserId,
    /// When.
    pub created_at: Timestamp,
    /// All members of the conversation at that moment.
    pub member_ids: Vec<UserId>,
    /// Those of them who were connected.
    pub online_member_ids: Vec<UserId>,
    /// Those of them whom the message mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mention_ids: Vec<UserId>,
    /// Those of them who have muted the conversation: they are notified of what mentions them alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub muted_member_ids: Vec<UserId>,
}

/// Data of `message.edited`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageEdited {
    /// Where.
    pub conversation_id: ConversationId,
    /// The message.
    pub message_id: MessageId,
    /// The sequence number of the edit.
    pub seq: u64,
    /// Who edited it.
    pub editor_id: UserId,
    /// When.
    pub edited_at: Timestamp,
    /// Members whom it mentions now and did not before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mention_ids: Vec<UserId>,
}

/// Data of `message.deleted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageDeleted {
    /// Where.
    pub conversation_id: ConversationId,
    /// The message.
    pub message_id: MessageId,
    /// The sequence number of the deletion.
    pub seq: u64,
    /// Who deleted it.
    pub deleted_by: UserId,
    /// When.
    pub deleted_at: Timestamp,
}

/// Data of `conversation.created`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationCreated {
    /// Which.
    pub conversation_id: ConversationId,
    /// Direct or group.
    #[serde(rename = "type")]
    pub kind: ConversationType,
    /// Its members.
    pub member_ids: Vec<UserId>,
    /// Who opened it.
    pub created_by: UserId,
}

/// Data of `conversation.member-added`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberAdded {
    /// Where.
    pub conversation_id: ConversationId,
    /// Who joined.
    pub user_id: UserId,
    /// As what.
    pub role: MemberRole,
    /// Who added them.
    pub added_by: UserId,
}

/// Data of `conversation.member-removed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRemoved {
    /// Where.
    pub conversation_id: ConversationId,
    /// Who is gone.
    pub user_id: UserId,
    /// Who removed them; themselves if they left.
    pub removed_by: UserId,
}

/// Data of `conversation.read`. It is told of those alone who were not connected when something was sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationRead {
    /// Where.
    pub conversation_id: ConversationId,
    /// Who has read.
    pub user_id: UserId,
    /// Everything up to this sequence number.
    pub seq: u64,
}

/// Data of `user.registered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRegistered {
    /// Who.
    pub user_id: UserId,
    /// Their user name.
    pub username: String,
    /// Their address.
    pub email: String,
    /// The name shown to others.
    pub display_name: String,
}

/// Data of `user.updated`: all that others see of the account, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserUpdated {
    /// Who.
    pub user_id: UserId,
    /// Their user name.
    pub username: String,
    /// The name shown to others.
    pub display_name: String,
    /// Their picture, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_id: Option<MediaId>,
}

/// Data of `user.deleted`. Whoever keeps something about the user forgets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserDeleted {
    /// Who it was.
    pub user_id: UserId,
}

/// A secret that is sent to an address: whoever has it reads the mail of that address. It works once and for a short
/// time; the auth service keeps its digest alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MailedToken(pub String);

impl std::fmt::Debug for MailedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MailedToken")
    }
}

/// Data of `user.email-verification-requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailVerificationRequested {
    /// Who.
    pub user_id: UserId,
    /// The name shown to others.
    pub display_name: String,
    /// The address to be shown theirs.
    pub email: String,
    /// Goes into `POST /auth/verify-email`.
    pub token: MailedToken,
    /// Until when the token works.
    pub expires_at: Timestamp,
}

/// Data of `user.email-changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmailChanged {
    /// Who.
    pub user_id: UserId,
    /// The name shown to others.
    pub display_name: String,
    /// The address from now on.
    pub email: String,
    /// The address until now, which is told.
    pub previous_email: String,
}

/// Data of `user.password-reset-requested`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordResetRequested {
    /// Who.
    pub user_id: UserId,
    /// The name shown to others.
    pub display_name: String,
    /// The account's address.
    pub email: String,
    /// Goes into `POST /auth/reset-password`.
    pub token: MailedToken,
    /// Until when the token works.
    pub expires_at: Timestamp,
}

/// Data of `user.second-step-changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecondStepChanged {
    /// Whose.
    pub user_id: UserId,
    /// Whether a code is asked for from now on.
    pub enabled: bool,
}

/// Data of `user.password-changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordChanged {
    /// Whose.
    pub user_id: UserId,
}

/// Data of `session.revoked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRevoked {
    /// Whose.
    pub user_id: UserId,
    /// Which.
    pub session_id: SessionId,
    /// Why; absent from services that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RevocationReason>,
}

/// Why a session was ended, as far as others treat it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// Its refresh token was used twice: somebody else may have had it. The user is told.
    TokenReused,
    /// Any other.
    #[serde(other)]
    Ended,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn message_created() -> Event {
        let (conversation_id, message_id, sender_id) =
            (ConversationId::generate(), MessageId::generate(), UserId::generate());
        MessageCreated {
            conversation_id,
            message_id,
            seq: 7,
            sender_id,
            created_at: Timestamp::UNIX_EPOCH,
            member_ids: vec![sender_id],
            online_member_ids: vec![],
            mention_ids: vec![],
            muted_member_ids: vec![],
        }
        .into()
    }

    #[test]
    fn an_event_is_read_back_from_its_type_and_body() {
        let event = message_created();
        let body = serde_json::to_vec(&event.data().unwrap()).unwrap();
        assert_eq!(Event::parse(event.kind(), &body).unwrap(), event);
    }

    #[test]
    fn an_envelope_keeps_type_and_data_apart_in_an_outbox() {
        let event = message_created();
        let envelope =
            Envelope::new("chat", event.clone(), Some(TraceParent::start()), Timestamp::UNIX_EPOCH, &mut rand::rng());
        let stored = serde_json::to_value(&envelope).unwrap();
        assert_eq!(stored["event"], json!({"type": "message.created", "data": event.data().unwrap()}));
        assert_eq!(serde_json::from_value::<Envelope>(stored).unwrap(), envelope);
    }

    #[test]
    fn a_mailed_token_is_never_shown() {
        let event = Event::from(PasswordResetRequested {
            user_id: UserId::generate(),
            display_name: "Ada".to_owned(),
            email: "ada@example.org".to_owned(),
            token: MailedToken("open-sesame".to_owned()),
            expires_at: Timestamp::UNIX_EPOCH,
        });
        assert!(!format!("{event:?}").contains("sesame"));
        assert!(event.data().unwrap().to_string().contains("open-sesame"));
    }

    #[test]
    fn a_type_from_the_future_is_told_from_malformed_data() {
        assert!(matches!(Event::parse("message.teleported", b"{}"), Err(EventError::UnknownKind(_))));
        assert!(matches!(Event::parse("message.created", b"{}"), Err(EventError::Malformed { .. })));
    }

    #[test]
    fn new_fields_of_a_newer_sender_do_not_matter() {
        let (user_id, session_id) = (UserId::generate(), SessionId::generate());
        let body = json!({"userId": user_id, "sessionId": session_id, "reason": "log-out", "more": 1}).to_string();
        assert_eq!(
            Event::parse("session.revoked", body.as_bytes()).unwrap(),
            SessionRevoked { user_id, session_id, reason: Some(RevocationReason::Ended) }.into()
        );
    }
}
