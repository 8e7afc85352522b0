//! Who may change a message, and what it is then. Pure: each takes the stored message and gives the new one.

use contract::conversation::MemberRole;
use contract::event::{Event, MessageDeleted, MessageEdited};
use contract::id::UserId;
use jiff::Timestamp;
use mongodb::bson::Binary;

use super::MessageError;
use crate::crypto::Sealed;
use crate::store::{Change, Pin, Reaction, StoredMessage};

/// Most different emoji on one message.
pub(super) const MOST_REACTIONS: usize = 32;

/// Most edits of one message. Each uses its key once more (see [`DataKey`](crate::crypto::DataKey)).
pub(super) const MOST_EDITS: u32 = 10_000;

/// A text as it goes into a message.
#[derive(Clone, Debug)]
pub(super) struct Rewritten {
    /// Sealed for that message and revision.
    pub(super) content: Sealed,
    /// What its words are found by.
    pub(super) tokens: Vec<Binary>,
    /// The members whom it mentions.
    pub(super) mention_ids: Vec<UserId>,
}

/// Who changes a message, when, under which number.
#[derive(Clone, Copy, Debug)]
pub(super) struct By {
    /// The member.
    pub(super) user: UserId,
    /// Their role in the conversation.
    pub(super) role: MemberRole,
    /// The moment.
    pub(super) now: Timestamp,
    /// The number of the change.
    pub(super) seq: u64,
}

/// A new text, written by `rewrite` for the next revision. Only its sender may edit a message.
pub(super) fn edited(
    message: &StoredMessage,
    by: By,
    rewrite: impl FnOnce(&StoredMessage) -> Result<Rewritten, MessageError>,
) -> Result<Change, MessageError> {
    alive(message)?;
    if message.sender_id != by.user {
        return Err(MessageError::Forbidden("Only who sent a message may edit it."));
    }
    if message.revision >= MOST_EDITS {
        return Err(MessageError::TooManyEdits);
    }
    let mut next = StoredMessage { revision: message.revision + 1, edited_at: Some(by.now), ..message.clone() };
    let Rewritten { content, tokens, mention_ids } = rewrite(&next)?;
    let newly_mentioned = mention_ids.iter().filter(|user| !message.mention_ids.contains(user)).copied().collect();
    next.content = Some(content);
    next.tokens = tokens;
    next.mention_ids = mention_ids;
    let event = Event::from(MessageEdited {
        conversation_id: message.conversation_id,
        message_id: message.id,
        seq: by.seq,
        editor_id: by.user,
        edited_at: by.now,
        mention_ids: newly_mentioned,
    });
    Ok(Change::To(Box::new(next), Some(event)))
}

/// No text any more. Its sender and the conversation's admins and owner may delete a message; doing so twice is no fault.
pub(super) fn deleted(mut message: StoredMessage, by: By) -> Result<Change, MessageError> {
    if message.sender_id != by.user && by.role < MemberRole::Admin {
        return Err(MessageError::Forbidden("Only who sent a message, an admin or the owner may delete it."));
    }
    if message.deleted_at.is_some() {
        return Ok(Change::Nothing);
    }
    message.content = None;
    message.tokens.clear();
    message.mention_ids.clear();
    message.deleted_at = Some(by.now);
    message.media_ids.clear();
    message.reactions.clear();
    message.pin = None;
    let event = Event::from(MessageDeleted {
        conversation_id: message.conversation_id,
        message_id: message.id,
        seq: by.seq,
        deleted_by: by.user,
        deleted_at: by.now,
    });
    Ok(Change::To(Box::new(message), Some(event)))
}

/// With one more reaction, once per member and emoji.
pub(super) fn reacted(mut message: StoredMessage, emoji: &str, by: By) -> Result<Change, MessageError> {
    alive(&message)?;
    let full = message.reactions.len() >= MOST_REACTIONS;
    match message.reactions.iter_mut().find(|reaction| reaction.emoji == emoji) {
        Some(reaction) if reaction.user_ids.contains(&by.user) => return Ok(Change::Nothing),
        Some(reaction) => reaction.user_ids.push(by.user),
        None if full => return Err(MessageError::TooManyReactions),
        None => message.reactions.push(Reaction { emoji: emoji.to_owned(), user_ids: vec![by.user] }),
    }
    Ok(Change::To(Box::new(message), None))
}

/// Without the member's reaction.
pub(super) fn unreacted(mut message: StoredMessage, emoji: &str, by: By) -> Result<Change, MessageError> {
    alive(&message)?;
    let Some(reaction) = message.reactions.iter_mut().find(|reaction| reaction.emoji == emoji) else {
        return Ok(Change::Nothing);
    };
    let before = reaction.user_ids.len();
    reaction.user_ids.retain(|user| *user != by.user);
    if reaction.user_ids.len() == before {
        return Ok(Change::Nothing);
    }
    message.reactions.retain(|reaction| !reaction.user_ids.is_empty());
    Ok(Change::To(Box::new(message), None))
}

/// Pinned or not. Any member may do either.
pub(super) fn pinned(mut message: StoredMessage, pinned: bool, by: By) -> Result<Change, MessageError> {
    alive(&message)?;
    if message.pin.is_some() == pinned {
        return Ok(Change::Nothing);
    }
    message.pin = pinned.then_some(Pin { by: by.user, at: by.now });
    Ok(Change::To(Box::new(message), None))
}

fn alive(message: &StoredMessage) -> Result<(), MessageError> {
    if message.deleted_at.is_some() { Err(MessageError::Deleted) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use contract::id::{ConversationId, MessageId};

    use super::*;
    use crate::crypto::DataKey;

    fn message(sender: UserId) -> StoredMessage {
        StoredMessage {
            id: MessageId::generate(),
            conversation_id: ConversationId::generate(),
            seq: 1,
            change_seq: 1,
            sender_id: sender,
            content: None,
            revision: 0,
            tokens: Vec::new(),
            created_at: Timestamp::UNIX_EPOCH,
            changed_at: Timestamp::UNIX_EPOCH,
            edited_at: None,
            deleted_at: None,
            reply_to: None,
            thread_id: None,
            mention_ids: Vec::new(),
            media_ids: Vec::new(),
            nonce: None,
            reactions: Vec::new(),
            pin: None,
            outbox_lane: 0,
            outbox: Vec::new(),
        }
    }

    fn by(user: UserId, role: MemberRole) -> By {
        By { user, role, now: Timestamp::UNIX_EPOCH, seq: 2 }
    }

    fn changed(change: Change) -> StoredMessage {
        match change {
            Change::To(message, _) => *message,
            Change::Nothing => panic!("nothing changed"),
        }
    }

    fn text(next: &StoredMessage, mention_ids: &[UserId]) -> Result<Rewritten, MessageError> {
        let key = DataKey::generate(&mut rand::rng());
        let content = Sealed::seal(&key, next.binding(), "text", &mut rand::rng())?;
        Ok(Rewritten { content, tokens: Vec::new(), mention_ids: mention_ids.to_vec() })
    }

    #[test]
    fn only_who_sent_a_message_edits_it_and_each_edit_is_the_next_revision() {
        let (sender, other) = (UserId::generate(), UserId::generate());
        let (me, admin) = (by(sender, MemberRole::Member), by(other, MemberRole::Admin));
        let first = message(sender);
        let second = changed(edited(&first, me, |next| text(next, &[])).unwrap());
        assert_eq!((second.revision, second.edited_at), (1, Some(me.now)));
        assert_eq!(changed(edited(&second, me, |next| text(next, &[])).unwrap()).revision, 2);
        assert!(matches!(edited(&first, admin, |next| text(next, &[])), Err(MessageError::Forbidden(_))));
        let last = StoredMessage { revision: MOST_EDITS, ..first };
        assert!(matches!(edited(&last, me, |next| text(next, &[])), Err(MessageError::TooManyEdits)));
    }

    #[test]
    fn an_edit_tells_of_those_only_whom_it_mentions_anew() {
        let [sender, before, now] = [(); 3].map(|()| UserId::generate());
        let told = StoredMessage { mention_ids: vec![before], ..message(sender) };
        let Change::To(_, Some(Event::MessageEdited(event))) =
            edited(&told, by(sender, MemberRole::Member), |next| text(next, &[before, now])).unwrap()
        else {
            panic!("no event");
        };
        assert_eq!(event.mention_ids, [now]);
    }

    #[test]
    fn a_member_deletes_their_own_message_and_an_admin_anybodys() {
        let (sender, other) = (UserId::generate(), UserId::generate());
        assert!(deleted(message(sender), by(sender, MemberRole::Member)).is_ok());
        assert!(deleted(message(sender), by(other, MemberRole::Admin)).is_ok());
        let refused = deleted(message(sender), by(other, MemberRole::Member)).unwrap_err();
        assert!(matches!(refused, MessageError::Forbidden(_)));
    }

    #[test]
    fn a_deleted_message_keeps_nothing_and_cannot_change_again() {
        let sender = UserId::generate();
        let me = by(sender, MemberRole::Member);
        let full = changed(reacted(changed(pinned(message(sender), true, me).unwrap()), "👍", me).unwrap());
        let gone = changed(deleted(full, me).unwrap());
        assert!(gone.content.is_none() && gone.reactions.is_empty() && gone.pin.is_none());
        assert!(matches!(deleted(gone.clone(), me), Ok(Change::Nothing)));
        assert!(matches!(reacted(gone.clone(), "👍", me), Err(MessageError::Deleted)));
        assert!(matches!(pinned(gone, true, me), Err(MessageError::Deleted)));
    }

    #[test]
    fn a_reaction_counts_once_per_member_and_goes_away_again() {
        let (one, two) = (UserId::generate(), UserId::generate());
        let member = |user| by(user, MemberRole::Member);
        let first = changed(reacted(message(one), "👍", member(one)).unwrap());
        assert!(matches!(reacted(first.clone(), "👍", member(one)), Ok(Change::Nothing)));
        let both = changed(reacted(first, "👍", member(two)).unwrap());
        assert_eq!(both.reactions, [Reaction { emoji: "👍".into(), user_ids: vec![one, two] }]);
        let left = changed(unreacted(both, "👍", member(one)).unwrap());
        assert_eq!(left.reactions[0].user_ids, [two]);
        assert!(matches!(unreacted(left.clone(), "👍", member(one)), Ok(Change::Nothing)));
        assert!(changed(unreacted(left, "👍", member(two)).unwrap()).reactions.is_empty());
    }

    #[test]
    fn a_message_takes_so_many_different_reactions_and_no_more() {
        let user = UserId::generate();
        let me = by(user, MemberRole::Member);
        let full = (0..MOST_REACTIONS)
            .fold(message(user), |message, n| changed(reacted(message, &n.to_string(), me).unwrap()));
        assert!(matches!(reacted(full, "more", me), Err(MessageError::TooManyReactions)));
    }
}
