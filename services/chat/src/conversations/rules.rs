//! Who may open, change and leave a conversation, and what it is then. Pure.

use std::collections::{BTreeMap, BTreeSet};

use contract::conversation::{ConversationType, MemberRole, Mute, NewConversation};
use contract::event::{ConversationCreated, Event, MemberAdded, MemberRemoved};
use contract::id::{ConversationId, UserId};
use contract::problem::FieldError;
use jiff::Timestamp;

use super::ConversationError;
use crate::store::{Alteration, StoredConversation, StoredMember};

/// Longest title, in characters.
pub(super) const LONGEST_TITLE: usize = 100;
/// Most members of a group.
pub(super) const MOST_MEMBERS: usize = 256;

/// A new conversation without its data key, or its faults.
pub(super) fn opened(
    wish: NewConversation,
    creator: UserId,
    creation_key: Option<String>,
    id: ConversationId,
    now: Timestamp,
) -> Result<StoredConversation, ConversationError> {
    let others: BTreeSet<UserId> = wish.member_ids.into_iter().filter(|member| *member != creator).collect();
    let mut faults = Vec::new();
    let title = wish.title.map(|title| title.trim().to_owned());
    match wish.kind {
        ConversationType::Direct => {
            if others.len() != 1 {
                faults.push(fault("memberIds", "must name the one other member of a direct conversation"));
            }
            if title.is_some() {
                faults.push(fault("title", "must be absent: a direct conversation has none"));
            }
        }
        ConversationType::Group => {
            if others.len() >= MOST_MEMBERS {
                faults.push(fault("memberIds", &format!("must leave the group at most {MOST_MEMBERS} members")));
            }
            faults.extend(title.as_deref().and_then(title_fault));
        }
    }
    if !faults.is_empty() {
        return Err(ConversationError::Invalid(faults));
    }
    let first = match wish.kind {
        ConversationType::Direct => MemberRole::Member,
        ConversationType::Group => MemberRole::Owner,
    };
    let direct_key = (wish.kind == ConversationType::Direct).then(|| {
        let pair: BTreeSet<String> = others.iter().chain([&creator]).map(ToString::to_string).collect();
        pair.into_iter().collect::<Vec<_>>().join(":")
    });
    let member = |user_id, role| StoredMember { user_id, role, joined_at: now, joined_seq: 0 };
    let members =
        [member(creator, first)].into_iter().chain(others.into_iter().map(|id| member(id, MemberRole::Member)));
    Ok(StoredConversation {
        id,
        kind: wish.kind,
        title,
        members: members.collect(),
        left: Vec::new(),
        direct_key,
        creation_key: creation_key.filter(|_| wish.kind == ConversationType::Group),
        created_by: creator,
        seq: 0,
        data_key: None,
        read: BTreeMap::new(),
        missed: BTreeSet::new(),
        mutes: BTreeMap::new(),
        last_message_at: None,
        activity_at: now,
        created_at: now,
        updated_at: now,
        changed_at: now,
        deleted_at: None,
        outbox: Vec::new(),
    })
}

/// The event that tells of a new conversation.
#[must_use]
pub(super) fn created(conversation: &StoredConversation) -> Event {
    Event::from(ConversationCreated {
        conversation_id: conversation.id,
        kind: conversation.kind,
        member_ids: conversation.member_ids(),
        created_by: conversation.created_by,
    })
}

/// With another title, or none. Admins and the owner may rename a group.
pub(super) fn renamed(
    mut conversation: StoredConversation,
    by: UserId,
    title: Option<&str>,
) -> Result<Alteration, ConversationError> {
    administers(&conversation, by, "Only an admin or the owner may rename the group.")?;
    let title = title.map(|title| title.trim().to_owned());
    if let Some(fault) = title.as_deref().and_then(title_fault) {
        return Err(ConversationError::Invalid(vec![fault]));
    }
    if conversation.title == title {
        return Ok(Alteration::Nothing);
    }
    conversation.title = title;
    Ok(Alteration::To(Box::new(conversation), Vec::new()))
}

/// With more members. Who is one already stays as they are.
pub(super) fn joined(
    mut conversation: StoredConversation,
    by: UserId,
    users: &[UserId],
    role: MemberRole,
    now: Timestamp,
) -> Result<Alteration, ConversationError> {
    let mine = administers(&conversation, by, "Only an admin or the owner may add members.")?;
    if role != MemberRole::Member && (mine != MemberRole::Owner || role == MemberRole::Owner) {
        return Err(ConversationError::Forbidden("Only the owner may add an admin, and there is one owner."));
    }
    let users: BTreeSet<UserId> = users.iter().copied().filter(|user| conversation.role_of(*user).is_none()).collect();
    if users.is_empty() {
        return Ok(Alteration::Nothing);
    }
    if conversation.members.len() + users.len() > MOST_MEMBERS {
        return Err(ConversationError::Full);
    }
    let conversation_id = conversation.id;
    let events = users.iter().map(|user| MemberAdded { conversation_id, user_id: *user, role, added_by: by }.into());
    let events = events.collect();
    // What was said before they came is there to be read, and is not what they have missed.
    conversation.read.extend(users.iter().map(|user| (*user, conversation.seq)));
    conversation.left.retain(|leaver| !users.contains(&leaver.user_id));
    let joined_seq = conversation.seq + 1;
    let new = |user_id| StoredMember { user_id, role, joined_at: now, joined_seq };
    conversation.members.extend(users.into_iter().map(new));
    Ok(Alteration::To(Box::new(conversation), events))
}

/// With another role for a member. The owner decides; who makes another the owner becomes an admin.
pub(super) fn promoted(
    mut conversation: StoredConversation,
    by: UserId,
    user: UserId,
    role: MemberRole,
) -> Result<Alteration, ConversationError> {
    if administers(&conversation, by, "Only the owner may change roles.")? != MemberRole::Owner {
        return Err(ConversationError::Forbidden("Only the owner may change roles."));
    }
    if user == by && role != MemberRole::Owner {
        return Err(ConversationError::Forbidden("Make another member the owner first."));
    }
    let before = conversation.role_of(user).ok_or(ConversationError::NoMember)?;
    if before == role {
        return Ok(Alteration::Nothing);
    }
    for member in &mut conversation.members {
        if member.user_id == user {
            member.role = role;
        } else if role == MemberRole::Owner && member.role == MemberRole::Owner {
            member.role = MemberRole::Admin;
        }
    }
    Ok(Alteration::To(Box::new(conversation), Vec::new()))
}

/// Without a member: they leave, or someone of a higher role removes them. After the owner comes the member of highest role and longest standing.
pub(super) fn left(
    mut conversation: StoredConversation,
    by: UserId,
    user: UserId,
    now: Timestamp,
) -> Result<Alteration, ConversationError> {
    let mine = in_group(&conversation, by)?;
    let theirs = conversation.role_of(user).ok_or(ConversationError::NoMember)?;
    if user != by && (mine < MemberRole::Admin || theirs >= mine) {
        return Err(ConversationError::Forbidden(
            "You may remove only members whose role is below yours, as an admin or the owner.",
        ));
    }
    conversation.members.retain(|member| member.user_id != user);
    conversation.note_leavers([user], now);
    conversation.read.remove(&user);
    conversation.missed.remove(&user);
    conversation.mutes.remove(&user);
    if theirs == MemberRole::Owner {
        // `max_by_key` takes the last of equals, and the longest-standing come first.
        let heir = conversation.members.iter_mut().rev().max_by_key(|member| member.role);
        if let Some(heir) = heir {
            heir.role = MemberRole::Owner;
        }
    }
    let event = Event::from(MemberRemoved { conversation_id: conversation.id, user_id: user, removed_by: by });
    if conversation.members.is_empty() {
        end(&mut conversation, now);
    }
    Ok(Alteration::To(Box::new(conversation), vec![event]))
}

/// No more: nobody is a member, and without its data key its messages cannot be read again. Only the owner may do that.
pub(super) fn ended(
    mut conversation: StoredConversation,
    by: UserId,
    now: Timestamp,
) -> Result<Alteration, ConversationError> {
    if in_group(&conversation, by)? != MemberRole::Owner {
        return Err(ConversationError::Forbidden("Only the owner may delete the group."));
    }
    let conversation_id = conversation.id;
    let gone = |user_id| MemberRemoved { conversation_id, user_id, removed_by: by }.into();
    let events = conversation.member_ids().into_iter().map(gone).collect();
    end(&mut conversation, now);
    Ok(Alteration::To(Box::new(conversation), events))
}

/// The fault of a mute, if it has one.
pub(super) fn mute_fault(mute: Mute, now: Timestamp) -> Option<FieldError> {
    let past = mute.until.is_some_and(|until| until <= now);
    past.then(|| fault("until", "must lie in the future; leave it out to mute without an end"))
}

fn end(conversation: &mut StoredConversation, now: Timestamp) {
    conversation.note_leavers(conversation.member_ids(), now);
    conversation.members.clear();
    conversation.read.clear();
    conversation.missed.clear();
    conversation.mutes.clear();
    conversation.data_key = None;
    conversation.title = None;
    conversation.deleted_at = Some(now);
}

fn in_group(conversation: &StoredConversation, by: UserId) -> Result<MemberRole, ConversationError> {
    let role = conversation.role_of(by).ok_or(ConversationError::NotFound)?;
    match conversation.kind {
        ConversationType::Direct => {
            Err(ConversationError::Forbidden("A direct conversation has no title, and its members stay."))
        }
        ConversationType::Group => Ok(role),
    }
}

fn administers(
    conversation: &StoredConversation,
    by: UserId,
    refusal: &'static str,
) -> Result<MemberRole, ConversationError> {
    match in_group(conversation, by)? {
        MemberRole::Member => Err(ConversationError::Forbidden(refusal)),
        role => Ok(role),
    }
}

fn title_fault(title: &str) -> Option<FieldError> {
    let proper = (1..=LONGEST_TITLE).contains(&title.chars().count()) && !title.chars().any(char::is_control);
    (!proper).then(|| fault("title", &format!("must be 1 to {LONGEST_TITLE} characters on one line")))
}

fn fault(field: &str, message: &str) -> FieldError {
    FieldError { field: field.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::SignedDuration;

    use super::*;
    use crate::store::StoredLeaver;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn wish(kind: ConversationType, member_ids: Vec<UserId>) -> NewConversation {
        NewConversation { kind, title: None, member_ids }
    }

    fn open(kind: ConversationType, creator: UserId, others: &[UserId]) -> StoredConversation {
        opened(wish(kind, others.to_vec()), creator, None, ConversationId::generate(), NOW).unwrap()
    }

    fn group(others: usize) -> (StoredConversation, Vec<UserId>) {
        let users: Vec<_> = (0..=others).map(|_| UserId::generate()).collect();
        let mut group = open(ConversationType::Group, users[0], &users[1..]);
        group.members.sort_by_key(|member| users.iter().position(|user| *user == member.user_id));
        (group, users)
    }

    fn altered(alteration: Alteration) -> StoredConversation {
        match alteration {
            Alteration::To(conversation, _) => *conversation,
            Alteration::Nothing => panic!("nothing changed"),
        }
    }

    #[test]
    fn a_pair_has_the_same_key_whoever_opens_the_conversation() {
        let (one, two) = (UserId::generate(), UserId::generate());
        let from_one = open(ConversationType::Direct, one, &[two]);
        assert!(from_one.direct_key.is_some());
        assert_eq!(from_one.direct_key, open(ConversationType::Direct, two, &[one]).direct_key);
        assert_eq!(from_one.direct_key, open(ConversationType::Direct, two, &[one, two, one]).direct_key);
    }

    #[test]
    fn a_direct_conversation_is_between_exactly_two_and_never_changes() {
        let (one, two, three) = (UserId::generate(), UserId::generate(), UserId::generate());
        for others in [vec![], vec![one], vec![two, three]] {
            let refused = opened(wish(ConversationType::Direct, others), one, None, ConversationId::generate(), NOW);
            assert!(matches!(refused, Err(ConversationError::Invalid(_))));
        }
        let direct = open(ConversationType::Direct, one, &[two]);
        assert!(matches!(
            joined(direct.clone(), one, &[three], MemberRole::Member, NOW),
            Err(ConversationError::Forbidden(_))
        ));
        assert!(matches!(left(direct.clone(), one, one, NOW), Err(ConversationError::Forbidden(_))));
        assert!(matches!(renamed(direct, one, Some("us")), Err(ConversationError::Forbidden(_))));
    }

    #[test]
    fn a_stranger_learns_nothing_of_a_group() {
        let (group, users) = group(1);
        let stranger = UserId::generate();
        assert!(matches!(renamed(group.clone(), stranger, Some("x")), Err(ConversationError::NotFound)));
        assert!(matches!(left(group.clone(), stranger, users[1], NOW), Err(ConversationError::NotFound)));
        assert!(matches!(ended(group, stranger, NOW), Err(ConversationError::NotFound)));
    }

    #[test]
    fn members_are_added_once_and_only_by_who_may() {
        let (group, users) = group(1);
        let new = UserId::generate();
        assert!(matches!(
            joined(group.clone(), users[1], &[new], MemberRole::Member, NOW),
            Err(ConversationError::Forbidden(_))
        ));
        let Alteration::To(larger, events) =
            joined(group, users[0], &[new, new, users[1]], MemberRole::Member, NOW).unwrap()
        else {
            panic!("nothing changed");
        };
        assert_eq!(larger.members.len(), 3);
        assert_eq!(events.len(), 1);
        assert!(matches!(joined(*larger, users[0], &[new], MemberRole::Member, NOW), Ok(Alteration::Nothing)));
    }

    #[test]
    fn who_comes_and_who_goes_is_known_by_the_number_of_the_change_until_everybody_has_been_told() {
        let (mut group, users) = group(3);
        let (new, later) = (UserId::generate(), NOW + SignedDuration::from_mins(3));
        group.seq = 7;
        let mut group = altered(left(group, users[0], users[1], NOW).unwrap());
        assert_eq!(group.left, [StoredLeaver { user_id: users[1], seq: 8, at: NOW }]);
        group.seq = 8;
        let mut group = altered(joined(group, users[0], &[new, users[1]], MemberRole::Member, NOW).unwrap());
        assert!(group.left.is_empty(), "who is back has not left");
        assert!(group.members.iter().filter(|m| m.joined_seq == 9).map(|m| m.user_id).any(|user| user == new));
        group.seq = 9;
        let mut group = altered(left(group, new, new, NOW).unwrap());
        group.seq = 10;
        let group = altered(left(group, users[0], users[2], later).unwrap());
        assert_eq!(group.left, [StoredLeaver { user_id: users[2], seq: 11, at: later }], "old news are forgotten");
        let ended = altered(ended(group, users[0], later).unwrap());
        assert_eq!(ended.concerned().count(), 4);
    }

    #[test]
    fn a_group_is_full_at_its_limit() {
        let (group, users) = group(MOST_MEMBERS - 1);
        let refused = joined(group, users[0], &[UserId::generate()], MemberRole::Member, NOW);
        assert!(matches!(refused, Err(ConversationError::Full)));
    }

    #[test]
    fn there_is_always_exactly_one_owner() {
        let (group, users) = group(2);
        let owners = |c: &StoredConversation| c.members.iter().filter(|m| m.role == MemberRole::Owner).count();
        let handed_over = altered(promoted(group.clone(), users[0], users[1], MemberRole::Owner).unwrap());
        assert_eq!(owners(&handed_over), 1);
        assert_eq!(handed_over.role_of(users[0]), Some(MemberRole::Admin));
        assert!(promoted(group.clone(), users[0], users[0], MemberRole::Member).is_err());
        let without = altered(left(group, users[0], users[0], NOW).unwrap());
        assert_eq!(owners(&without), 1);
        assert_eq!(without.role_of(users[1]), Some(MemberRole::Owner), "the longest-standing of equals");
    }

    #[test]
    fn an_admin_inherits_before_an_older_member() {
        let (group, users) = group(2);
        let group = altered(promoted(group, users[0], users[2], MemberRole::Admin).unwrap());
        let without = altered(left(group, users[0], users[0], NOW).unwrap());
        assert_eq!(without.role_of(users[2]), Some(MemberRole::Owner));
    }

    #[test]
    fn nobody_removes_an_equal_or_a_better() {
        let (group, users) = group(2);
        let group = altered(promoted(group, users[0], users[1], MemberRole::Admin).unwrap());
        assert!(left(group.clone(), users[1], users[0], NOW).is_err());
        assert!(left(group.clone(), users[2], users[1], NOW).is_err());
        assert!(left(group.clone(), users[1], users[2], NOW).is_ok());
        assert!(left(group, users[2], users[2], NOW).is_ok());
    }

    #[test]
    fn the_last_to_leave_turns_off_the_light() {
        let (group, users) = group(0);
        let gone = altered(left(group, users[0], users[0], NOW).unwrap());
        assert!(gone.deleted_at.is_some() && gone.data_key.is_none() && gone.members.is_empty());
    }
}
