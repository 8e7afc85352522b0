use super::*;

/// A set, written as `name:state` with `!` for a vote, such as `a!:PRIMARY b!:SECONDARY c:STARTUP2`. A `~` after the state is a long
/// way behind.
fn set(text: &str) -> Set {
    let peer = |word: &str| {
        let (name, state) = word.split_once(':').unwrap_or((word, "SECONDARY"));
        let (state, lag) = state.strip_suffix('~').map_or((state, 0), |state| (state, 100));
        Peer {
            host: name.trim_end_matches('!').to_owned(),
            votes: name.ends_with('!'),
            state: state.to_owned(),
            lag: Some(lag),
            informed: true,
            answers: true,
        }
    };
    Set { peers: text.split_whitespace().map(peer).collect(), ..Set::default() }
}

fn wanted(hosts: &str) -> Vec<String> {
    hosts.split_whitespace().map(str::to_owned).collect()
}

fn decide(found: &str, hosts: &str) -> Next {
    next(&set(found), &wanted(hosts), |_| true)
}

fn add(host: &str) -> Next {
    Next::Take(Step::Add(host.to_owned()))
}

fn give_vote(host: &str) -> Next {
    Next::Take(Step::GiveVote(host.to_owned()))
}

fn hand_over(host: &str) -> Next {
    Next::Take(Step::HandOver(host.to_owned()))
}

fn remove(host: &str) -> Next {
    Next::Take(Step::Remove(host.to_owned()))
}

fn waits_for(next: &Next, host: &str) -> bool {
    matches!(next, Next::Wait { reason, .. } if reason.starts_with(host))
}

#[test]
fn a_set_of_the_wanted_members_agrees() {
    assert_eq!(decide("a!:PRIMARY", "a"), Next::Agrees);
    assert_eq!(decide("a! b!:PRIMARY c!", "a b c"), Next::Agrees);
}

#[test]
fn a_set_whose_member_is_down_agrees_for_there_is_nothing_to_change() {
    assert_eq!(decide("a!:PRIMARY b!:(not_reachable/healthy) c!", "a b c"), Next::Agrees);
    assert_eq!(decide("a!:PRIMARY b!:STARTUP2 c!", "a b c"), Next::Agrees);
}

#[test]
fn new_members_join_without_a_vote_and_before_anybody_gets_one() {
    assert_eq!(decide("a!:PRIMARY", "a b c"), add("b"));
    assert_eq!(decide("a!:PRIMARY b", "a b c"), add("c"));
}

#[test]
fn a_new_member_that_does_not_answer_is_not_added_and_does_not_keep_others_from_joining() {
    let found = set("a!:PRIMARY");
    let next = next(&found, &wanted("a b c"), |host| host == "c");
    assert_eq!(next, add("c"));
    let next = super::next(&set("a!:PRIMARY c"), &wanted("a b c"), |host| host == "c");
    assert!(waits_for(&next, "b to answer"), "{next:?}");
    assert!(matches!(next, Next::Wait { soon: false, .. }));
}

#[test]
fn nobody_votes_before_it_has_caught_up() {
    for state in ["STARTUP", "STARTUP2", "RECOVERING", "SECONDARY~"] {
        let next = decide(&format!("a!:PRIMARY b:{state} c:{state}"), "a b c");
        assert!(waits_for(&next, "b to catch up"), "{state}: {next:?}");
    }
}

#[test]
fn votes_come_in_pairs_so_that_no_even_number_stays() {
    let next = decide("a!:PRIMARY b c:STARTUP2", "a b c");
    assert!(waits_for(&next, "c to catch up to vote together with b"), "{next:?}");
    assert_eq!(decide("a!:PRIMARY b c", "a b c"), give_vote("b"));
    assert_eq!(decide("a!:PRIMARY b! c", "a b c"), give_vote("c"));
    assert_eq!(decide("a!:PRIMARY b! c:STARTUP2", "a b c"), wait("c to catch up before it votes", true));
}

#[test]
fn nobody_gets_a_vote_while_a_voter_that_stays_is_not_well() {
    let next = decide("a!:PRIMARY b!:(not_reachable/healthy) c! d e", "a b c d e");
    assert!(waits_for(&next, "b to catch up before anybody else votes"), "{next:?}");
    assert!(matches!(next, Next::Wait { soon: false, .. }));
}

#[test]
fn members_leave_one_at_a_time_the_last_first_and_the_primary_last_of_all() {
    assert_eq!(decide("a!:PRIMARY b! c! d! e!", "a b c"), remove("e"));
    assert_eq!(decide("a!:PRIMARY b! c! d!", "a b c"), remove("d"));
    assert_eq!(decide("a! b! c! d! e!:PRIMARY", "a b c"), remove("d"));
    assert_eq!(decide("a! b! c! e!:PRIMARY", "a b c"), hand_over("e"));
    assert_eq!(decide("a! b! c!:PRIMARY e!", "a b c"), remove("e"));
    assert_eq!(decide("a! c!:PRIMARY", "a"), hand_over("c"));
}

#[test]
fn nobody_leaves_while_one_that_stays_is_not_well() {
    for b in ["b!:(not_reachable/healthy)", "b!:RECOVERING", "b!:SECONDARY~", "b!:STARTUP2"] {
        let next = decide(&format!("a!:PRIMARY {b} c! d! e!"), "a b c");
        assert!(waits_for(&next, "b to catch up before d leaves"), "{next:?}");
    }
}

#[test]
fn one_that_is_down_and_shall_leave_is_taken_out_first_and_blocks_nothing() {
    assert_eq!(decide("a!:PRIMARY b! c! d!:(not_reachable/healthy) e!", "a b c"), remove("d"));
    assert_eq!(decide("a!:PRIMARY b! c! d!:(not_reachable/healthy) e!:(not_reachable/healthy)", "a b c"), remove("e"));
    assert_eq!(decide("a!:PRIMARY b! c! d!:(not_reachable/healthy)", "a b c"), remove("d"));
}

#[test]
fn a_voteless_member_that_shall_leave_goes_at_once() {
    assert_eq!(decide("a!:PRIMARY b:STARTUP2 c:STARTUP2", "a"), remove("b"));
    assert_eq!(decide("a!:PRIMARY b!:RECOVERING c! d:STARTUP2", "a b c"), remove("d"));
}

#[test]
fn a_member_is_replaced_by_one_that_votes_before_the_other_leaves() {
    assert_eq!(decide("a!:PRIMARY b! c!", "a b d"), add("d"));
    let next = decide("a!:PRIMARY b! c! d:STARTUP2", "a b d");
    assert!(waits_for(&next, "d to catch up before c leaves"), "{next:?}");
    assert_eq!(decide("a!:PRIMARY b! c! d", "a b d"), give_vote("d"));
    assert_eq!(decide("a!:PRIMARY b! c! d!", "a b d"), remove("c"));
}

#[test]
fn a_member_that_is_down_is_taken_out_before_the_one_that_replaces_it_votes() {
    assert_eq!(decide("a!:PRIMARY b! c!:(not_reachable/healthy) d", "a b d"), remove("c"));
    assert_eq!(decide("a!:PRIMARY b! d", "a b d"), give_vote("d"));
}

#[test]
fn never_more_than_seven_vote() {
    assert_eq!(decide("a!:PRIMARY b! c! d! e! f! g! h", "a b c d e f h"), remove("g"));
}

#[test]
fn nothing_changes_before_the_last_change_has_reached_a_majority() {
    let mut found = set("a!:PRIMARY b! c!");
    for peer in &mut found.peers[1..] {
        peer.informed = false;
    }
    assert!(matches!(next(&found, &wanted("a"), |_| true), Next::Wait { soon: true, .. }));
}

/// Plays every way from some members to others, with everybody well, and with one of them down.
#[test]
fn from_any_number_of_members_to_any_other_a_majority_is_kept_at_every_step() {
    let all = ["a", "b", "c", "d", "e", "f", "g"];
    for from in [1, 3, 5, 7] {
        for to in [1, 3, 5, 7] {
            for primary in 0..from {
                walk(&all[..from], &all[..to], all[primary]);
            }
        }
    }
}

fn walk(from: &[&str], to: &[&str], primary: &str) {
    let state = |host: &str| if host == primary { "PRIMARY" } else { "SECONDARY" };
    let mut found = set(&from.iter().map(|host| format!("{host}!:{}", state(host))).collect::<Vec<_>>().join(" "));
    let to = wanted(&to.join(" "));
    for _ in 0..40 {
        let voters = found.voters().count();
        match next(&found, &to, |_| true) {
            Next::Agrees => {
                let mut hosts: Vec<_> = found.peers.iter().filter(|peer| peer.votes).map(|peer| &peer.host).collect();
                hosts.sort_unstable();
                assert_eq!(hosts, to.iter().collect::<Vec<_>>());
                assert!(found.primary().is_some());
                return;
            }
            Next::Wait { reason, .. } => {
                // Initial sync ends.
                let syncing = found.peers.iter_mut().find(|peer| peer.state == "STARTUP2");
                syncing.unwrap_or_else(|| panic!("{from:?} to {to:?} waits for {reason}")).state =
                    "SECONDARY".to_owned();
            }
            Next::Take(Step::Add(host)) => {
                assert!(found.peer(&host).is_none());
                found.peers.extend(set(&format!("{host}:STARTUP2")).peers);
            }
            Next::Take(Step::GiveVote(host)) => {
                let peer = found.peers.iter_mut().find(|peer| peer.host == host);
                let peer = peer.unwrap_or_else(|| panic!("{host} is no member"));
                assert!(peer.caught_up() && !peer.votes);
                peer.votes = true;
            }
            Next::Take(Step::HandOver(host)) => {
                assert!(!to.contains(&host));
                for peer in &mut found.peers {
                    peer.state = "SECONDARY".to_owned();
                }
                // Whoever stays is elected: all others that shall leave have left.
                assert_eq!(found.peers.iter().filter(|peer| !to.contains(&peer.host)).count(), 1);
                let next = found.peers.iter_mut().find(|peer| to.contains(&peer.host));
                next.unwrap_or_else(|| panic!("nobody is left")).state = "PRIMARY".to_owned();
            }
            Next::Take(Step::Remove(host)) => {
                assert!(found.peer(&host).is_some_and(|peer| !peer.is_primary()));
                found.peers.retain(|peer| peer.host != host);
            }
        }
        assert!(found.voters().count().abs_diff(voters) <= 1, "one vote at a time");
        assert!(found.voters().count() <= 7);
    }
    panic!("{from:?} to {to:?} does not end");
}
