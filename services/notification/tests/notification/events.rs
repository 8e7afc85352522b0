//! Events as the other services publish them.

use contract::{
    event::{Envelope, Event, MessageCreated, UserRegistered},
    id::{ConversationId, MessageId, UserId},
};
use jiff::Timestamp;

/// A message from `sender` to `members`, of whom `online` are connected.
pub(crate) fn message(sender: UserId, members: &[UserId], online: &[UserId]) -> MessageCreated {
    MessageCreated {
        conversation_id: ConversationId::generate(),
        message_id: MessageId::generate(),
        seq: 1,
        sender_id: sender,
        created_at: Timestamp::now(),
        member_ids: members.to_vec(),
        online_member_ids: online.to_vec(),
        mention_ids: Vec::new(),
        muted_member_ids: Vec::new(),
    }
}

/// The registration of `user`, and the address it gives.
pub(crate) fn registration(user: UserId, name: &str) -> (UserRegistered, String) {
    let email = format!("{}@example.org", user.to_string().to_lowercase());
    let event = UserRegistered {
        user_id: user,
        username: name.to_lowercase(),
        email: email.clone(),
        display_name: name.to_owned(),
    };
    (event, email)
}

/// The event in an envelope of its own.
pub(crate) fn envelope(event: impl Into<Event>) -> Envelope {
    Envelope::new("test", event.into(), None, Timestamp::now(), &mut rand::rng())
}
