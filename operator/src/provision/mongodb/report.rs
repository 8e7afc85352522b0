//! What the set says of itself, for people and for the operator.

use super::set::{Peer, Set};
use super::{Target, short};
use crate::provision::State;
use crate::provisioner::{Member, Role};

/// Seconds behind which are worth a word.
const NOTEWORTHY: u32 = 10;

/// The state of a set. `waits` is what comes before it agrees, and `notes` what is still to come though it agrees.
pub(super) fn state(target: &Target, set: &Set, waits: &[String], notes: &[String]) -> State {
    let total = target.members.len();
    let serving = |host: &&String| set.peer(host).is_some_and(|peer| peer.votes && peer.serves() && peer.answers);
    let serving = target.members.iter().filter(serving).count();
    let stays = |peer: &Peer| target.members.contains(&peer.host);
    let mut words: Vec<String> = set.peers.iter().map(|peer| words(peer, stays(peer))).collect();
    let missing = target.members.iter().filter(|host| set.peer(host).is_none());
    words.extend(missing.map(|host| format!("{} no member yet", short(host))));
    let summary = match set.primary() {
        Some(_) => format!("{serving} of {total} members serve"),
        None => "No primary yet".to_owned(),
    };
    let mut message = format!("{summary}: {}", words.join(", "));
    for what in waits.iter().chain(notes) {
        message = format!("{message}; waits for {what}");
    }
    State {
        ready: set.primary().is_some() && serving == total && set.peers.len() == total && waits.is_empty(),
        message,
        members: set.peers.iter().map(member).collect(),
        ..State::default()
    }
}

fn words(peer: &Peer, stays: bool) -> String {
    let name = short(&peer.host);
    // The others notice later, and then the server's own word says so.
    let state = if peer.serves() && !peer.answers { "does not answer" } else { &peer.state };
    let lag = peer.lag.filter(|lag| peer.serves() && peer.answers && *lag > NOTEWORTHY);
    // To tens, so that the words do not change with every look.
    let lag = lag.map(|lag| format!("{} s behind", lag.saturating_add(5) / 10 * 10));
    let notes = [lag, (!peer.votes).then(|| "no vote".to_owned()), (!stays).then(|| "leaves".to_owned())];
    let notes = notes.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if notes.is_empty() { format!("{name} {state}") } else { format!("{name} {state} ({notes})") }
}

fn member(peer: &Peer) -> Member {
    let role = match peer.state.as_str() {
        "PRIMARY" => Role::Primary,
        "SECONDARY" if peer.votes => Role::Secondary,
        // Without a vote it cannot stand in for another.
        _ => Role::Other,
    };
    Member { pod: short(&peer.host).to_owned(), role, caught_up: peer.caught_up() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use secrecy::SecretString;

    use super::*;

    fn name(index: usize) -> String {
        format!("acme-mongodb-{index}.acme-mongodb.chat.svc:27017")
    }

    fn target(members: usize) -> Target {
        Target {
            replica_set: "rs0".to_owned(),
            members: (0..members).map(name).collect(),
            leaving: Vec::new(),
            key_file: SecretString::from("k"),
            users: Vec::new(),
            refused: Vec::new(),
            authority: None,
            certificate: None,
            step_down: None,
            established: false,
        }
    }

    fn set(states: &[&str]) -> Set {
        let peer = |(index, state): (usize, &&str)| Peer {
            host: name(index),
            votes: true,
            state: (*state).to_owned(),
            lag: Some(0),
            informed: true,
            answers: true,
        };
        Set { peers: states.iter().enumerate().map(peer).collect(), ..Set::default() }
    }

    fn report(states: &[&str]) -> State {
        state(&target(states.len()), &set(states), &[], &[])
    }

    #[test]
    fn a_set_is_ready_when_every_member_serves_and_one_is_primary() {
        let state = report(&["PRIMARY", "SECONDARY", "SECONDARY"]);
        assert!(state.ready);
        assert_eq!(
            state.message,
            "3 of 3 members serve: acme-mongodb-0 PRIMARY, acme-mongodb-1 SECONDARY, acme-mongodb-2 SECONDARY"
        );
    }

    #[test]
    fn a_set_without_a_primary_or_with_a_member_that_recovers_is_not_ready() {
        assert!(!report(&["SECONDARY"]).ready);
        assert!(report(&["SECONDARY"]).message.starts_with("No primary yet"));
        let state = report(&["PRIMARY", "RECOVERING", "SECONDARY"]);
        assert!(!state.ready);
        assert!(state.message.starts_with("2 of 3 members serve"), "{}", state.message);
    }

    #[test]
    fn a_set_is_not_ready_before_every_member_votes_and_all_others_have_left() {
        let mut growing = set(&["PRIMARY", "SECONDARY", "STARTUP2"]);
        growing.peers[1].votes = false;
        growing.peers[2].votes = false;
        let waits = ["acme-mongodb-2 to catch up before it votes".to_owned()];
        let state = state(&target(3), &growing, &waits, &[]);
        assert!(!state.ready);
        assert_eq!(
            state.message,
            "1 of 3 members serve: acme-mongodb-0 PRIMARY, acme-mongodb-1 SECONDARY (no vote), \
             acme-mongodb-2 STARTUP2 (no vote); waits for acme-mongodb-2 to catch up before it votes"
        );
        let roles: Vec<_> = state.members.iter().map(|member| member.role).collect();
        assert_eq!(roles, [Role::Primary, Role::Other, Role::Other]);

        let shrinking = super::state(&target(1), &set(&["PRIMARY", "SECONDARY"]), &[], &[]);
        assert!(!shrinking.ready);
        assert!(shrinking.message.ends_with("acme-mongodb-1 SECONDARY (leaves)"), "{}", shrinking.message);
        assert_eq!(shrinking.members[1].pod, "acme-mongodb-1");

        let one = super::state(&target(3), &set(&["PRIMARY"]), &[], &[]);
        assert!(one.message.ends_with("acme-mongodb-1 no member yet, acme-mongodb-2 no member yet"), "{}", one.message);
    }

    #[test]
    fn a_member_that_has_just_gone_is_told_before_the_others_have_noticed() {
        let mut set = set(&["PRIMARY", "SECONDARY", "SECONDARY"]);
        set.peers[2].answers = false;
        let state = state(&target(3), &set, &[], &[]);
        assert!(!state.ready && !state.members[2].caught_up);
        assert!(state.message.starts_with("2 of 3 members serve"), "{}", state.message);
        assert!(state.message.ends_with("acme-mongodb-2 does not answer"), "{}", state.message);
    }

    #[test]
    fn what_comes_later_does_not_keep_a_set_from_being_ready() {
        let notes = ["the renewed certificate to reach acme-mongodb-0".to_owned()];
        let state = state(&target(1), &set(&["PRIMARY"]), &[], &notes);
        assert!(state.ready);
        assert!(state.message.ends_with("; waits for the renewed certificate to reach acme-mongodb-0"));
    }

    #[test]
    fn a_member_is_told_to_be_behind_only_when_it_matters_and_in_round_numbers() {
        let message = |lag| {
            let mut set = set(&["PRIMARY", "SECONDARY"]);
            set.peers[1].lag = Some(lag);
            state(&target(2), &set, &[], &[]).message
        };
        assert_eq!(message(0), message(10));
        assert!(message(12).ends_with("acme-mongodb-1 SECONDARY (10 s behind)"), "{}", message(12));
        assert_eq!(message(57), message(62));
    }
}
