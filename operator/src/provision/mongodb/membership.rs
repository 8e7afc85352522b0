//! Who joins, who votes and who leaves, one change at a time: a pure decision over what the set says of itself.
//!
//! A new member joins without a vote and gets it once it has the data, so that it never counts for a majority that it cannot help.
//! A member leaves only while all that stay are healthy, the primary last, after it has stepped down.

use super::set::{Peer, Set};
use super::short;

/// What comes next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// Nothing: the set has the members that it shall have.
    Agrees,
    /// One change.
    Take(Step),
    /// What must come first, for people.
    Wait {
        /// What is waited for.
        reason: String,
        /// Whether it is likely there in a moment.
        soon: bool,
    },
}

/// One change of the members; each names `host:port`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It joins, without a vote.
    Add(String),
    /// It has caught up, and votes from now on.
    GiveVote(String),
    /// It is primary and shall leave.
    HandOver(String),
    /// It leaves.
    Remove(String),
}

/// The next change on the way to a set of `wanted` members. `answers` says whether a host could be reached just now.
pub(super) fn next(set: &Set, wanted: &[String], answers: impl Fn(&str) -> bool) -> Next {
    if !set.is_committed() {
        return wait("most voters to learn of its last change", true);
    }
    let stays = |peer: &&Peer| wanted.contains(&peer.host);
    let leaving: Vec<&Peer> = set.peers.iter().filter(|peer| !stays(peer)).collect();
    // Nobody counts on it, whatever its state.
    if let Some(peer) = leaving.iter().find(|peer| !peer.votes) {
        return take(Step::Remove, &peer.host);
    }
    let missing: Vec<&String> = wanted.iter().filter(|host| set.peer(host).is_none()).collect();
    if let Some(host) = missing.iter().find(|host| answers(host)) {
        return take(Step::Add, host);
    }
    if let Some(next) = vote(set, wanted, &leaving, &missing) {
        return next;
    }
    if let Some(host) = missing.first() {
        return wait(format!("{} to answer, so that it can join", short(host)), false);
    }
    leave(set, wanted, &leaving)
}

/// The next vote to give, or what it waits for; none when all who shall vote do, or when one who leaves is in the way.
fn vote(set: &Set, wanted: &[String], leaving: &[&Peer], missing: &[&String]) -> Option<Next> {
    let voteless: Vec<&Peer> = set.peers.iter().filter(|peer| !peer.votes && wanted.contains(&peer.host)).collect();
    let ready: Vec<&Peer> = voteless.iter().copied().filter(|peer| peer.caught_up()).collect();
    if let Some(behind) = set.voters().find(|voter| !voter.caught_up() && wanted.contains(&voter.host)) {
        return (!voteless.is_empty()).then(|| behind_wait(behind, "before anybody else votes"));
    }
    let voters = set.voters().count();
    // Seven may vote (manual, "Replica Set Members"); and one who leaves and is not well makes every further vote a risk.
    if voters >= 7 || leaving.iter().any(|peer| !peer.caught_up()) {
        return None;
    }
    let first = ready.first()?;
    // An even number of votes survives no more losses than the odd one below it and needs one more for a majority: so votes come in
    // pairs, unless somebody leaves or nobody else is to come.
    let alone = ready.len() == 1 && voters % 2 == 1 && leaving.is_empty();
    match voteless.iter().find(|peer| !peer.caught_up()) {
        Some(behind) if alone => Some(behind_wait(behind, &format!("to vote together with {}", short(&first.host)))),
        None if alone && !missing.is_empty() => None,
        _ => Some(take(Step::GiveVote, &first.host)),
    }
}

/// The next member to take away, or what it waits for.
fn leave(set: &Set, wanted: &[String], leaving: &[&Peer]) -> Next {
    let staying = set.peers.iter().filter(|peer| wanted.contains(&peer.host));
    let behind = staying.clone().find(|peer| !peer.caught_up());
    if leaving.is_empty() {
        return match behind.filter(|peer| !peer.votes) {
            Some(behind) => behind_wait(behind, "before it votes"),
            None => Next::Agrees,
        };
    }
    if let Some(behind) = behind {
        return behind_wait(behind, &format!("before {} leaves", short(&leaving[0].host)));
    }
    // Those first that serve nobody; then the last of the configuration, as it came last.
    let secondaries = leaving.iter().filter(|peer| !peer.is_primary());
    match secondaries.rev().min_by_key(|peer| peer.serves()) {
        Some(peer) => take(Step::Remove, &peer.host),
        None => take(Step::HandOver, &leaving[0].host),
    }
}

fn take(step: fn(String) -> Step, host: &str) -> Next {
    Next::Take(step(host.to_owned()))
}

fn wait(reason: impl Into<String>, soon: bool) -> Next {
    Next::Wait { reason: reason.into(), soon }
}

/// A member that answers is likely to catch up within a moment; one that does not answer takes its time.
fn behind_wait(behind: &Peer, purpose: &str) -> Next {
    let soon =
        behind.answers && behind.serves() || matches!(behind.state.as_str(), "STARTUP" | "STARTUP2" | "RECOVERING");
    wait(format!("{} to catch up {purpose}", short(&behind.host)), soon)
}

#[cfg(test)]
mod tests;
