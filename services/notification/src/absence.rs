//! Who is to be told of a message.

use std::collections::BTreeSet;

use contract::{event::MessageCreated, id::UserId};

/// The members who were not connected when the message was sent, each once and without its sender. Who has muted the conversation is
/// among them only if the message mentions them.
#[must_use]
pub fn absent_members(message: &MessageCreated) -> BTreeSet<UserId> {
    let mut absent: BTreeSet<UserId> = message.member_ids.iter().copied().collect();
    for present in message.online_member_ids.iter().chain([&message.sender_id]) {
        absent.remove(present);
    }
    for muted in message.muted_member_ids.iter().filter(|user| !message.mention_ids.contains(user)) {
        absent.remove(muted);
    }
    absent
}

#[cfg(test)]
mod tests {
    use contract::id::{ConversationId, MessageId};
    use jiff::Timestamp;

    use super::*;

    fn message(sender: UserId, members: &[UserId], online: &[UserId]) -> MessageCreated {
        MessageCreated {
            conversation_id: ConversationId::generate(),
            message_id: MessageId::generate(),
            seq: 1,
            sender_id: sender,
            created_at: Timestamp::UNIX_EPOCH,
            member_ids: members.to_vec(),
            online_member_ids: online.to_vec(),
            mention_ids: Vec::new(),
            muted_member_ids: Vec::new(),
        }
    }

    #[test]
    fn neither_the_sender_nor_who_is_connected_is_told() {
        let [sender, online, away] = [(); 3].map(|()| UserId::generate());
        let told = absent_members(&message(sender, &[sender, online, away], &[online]));
        assert_eq!(told, BTreeSet::from([away]));
    }

    #[test]
    fn who_has_muted_the_conversation_is_told_of_mentions_alone() {
        let [sender, muted, mentioned] = [(); 3].map(|()| UserId::generate());
        let mut message = message(sender, &[sender, muted, mentioned], &[]);
        message.muted_member_ids = vec![muted, mentioned];
        message.mention_ids = vec![mentioned];
        assert_eq!(absent_members(&message), BTreeSet::from([mentioned]));
    }

    #[test]
    fn who_is_listed_twice_is_told_once() {
        let [sender, away] = [(); 2].map(|()| UserId::generate());
        assert_eq!(absent_members(&message(sender, &[away, sender, away], &[])).len(), 1);
    }

    #[test]
    fn nobody_is_told_of_a_message_to_oneself() {
        let sender = UserId::generate();
        assert!(absent_members(&message(sender, &[sender], &[])).is_empty());
    }
}
