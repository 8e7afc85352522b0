//! The replica set as its primary, or whoever was asked, sees it.

use mongodb::bson::{Bson, Document, Timestamp, doc};

use super::member::Member;
use crate::provision::Error;

/// A member this many seconds behind, or fewer, has caught up: what is missing is under way.
const CAUGHT_UP: u32 = 5;

/// Configuration and state of a set.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    /// The configuration document (manual, "Replica Set Configuration").
    pub(super) config: Document,
    /// The members that the configuration names, in its order.
    pub(super) peers: Vec<Peer>,
}

/// A member as the configuration names it and as whoever was asked sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Peer {
    /// `host:port`
    pub(super) host: String,
    /// Whether it votes.
    pub(super) votes: bool,
    /// The server's own word: PRIMARY, SECONDARY, STARTUP2, ...
    pub(super) state: String,
    /// Seconds behind the primary, as far as that is known.
    pub(super) lag: Option<u32>,
    /// Whether it has the configuration that whoever was asked has.
    pub(super) informed: bool,
    /// Whether it answered us, too. The others notice only after a while that somebody is gone.
    pub(super) answers: bool,
}

impl Peer {
    pub(super) fn is_primary(&self) -> bool {
        self.state == "PRIMARY"
    }

    /// Whether it has the data and hands them out.
    pub(super) fn serves(&self) -> bool {
        matches!(self.state.as_str(), "PRIMARY" | "SECONDARY")
    }

    pub(super) fn caught_up(&self) -> bool {
        self.answers && self.serves() && self.lag.is_some_and(|lag| lag <= CAUGHT_UP)
    }
}

impl Set {
    /// Asks a member; `answers` says of each host whether it could be reached.
    pub(super) async fn read(member: &Member, answers: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let status = member.admin("tell the state of the set", doc! {"replSetGetStatus": 1}).await?;
        let answer = member.admin("tell its configuration", doc! {"replSetGetConfig": 1}).await?;
        let config = answer.get_document("config").cloned().unwrap_or_default();
        let mut set = Self::new(config, &status);
        for peer in &mut set.peers {
            peer.answers = answers(&peer.host);
        }
        Ok(set)
    }

    fn new(config: Document, status: &Document) -> Self {
        let lines: Vec<State> = documents(status, "members").map(State::new).collect();
        let newest = lines.iter().find(|state| state.word == "PRIMARY").map(|primary| primary.seconds);
        let (version, term) = (integer(&config, "version"), integer(&config, "term"));
        let peer = |member: &Document| {
            let host = member.get_str("host").ok()?.to_owned();
            let state = lines.iter().find(|state| state.name == host);
            Some(Peer {
                votes: integer(member, "votes") != Some(0),
                state: state.map_or("UNKNOWN", |state| state.word).to_owned(),
                lag: state.zip(newest).map(|(state, newest)| newest.saturating_sub(state.seconds)),
                informed: state.is_some_and(|state| state.version == version && state.term == term),
                answers: true,
                host,
            })
        };
        let peers = documents(&config, "members").filter_map(peer).collect();
        Self { config, peers }
    }

    pub(super) fn peer(&self, host: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.host == host)
    }

    pub(super) fn primary(&self) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.is_primary())
    }

    pub(super) fn voters(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.votes)
    }

    /// Whether most voters have the configuration, so that the next one may follow.
    pub(super) fn is_committed(&self) -> bool {
        2 * self.voters().filter(|peer| peer.informed).count() > self.voters().count()
    }
}

/// A line of `replSetGetStatus`.
struct State<'a> {
    name: &'a str,
    word: &'a str,
    seconds: u32,
    version: Option<i64>,
    term: Option<i64>,
}

impl<'a> State<'a> {
    fn new(member: &'a Document) -> Self {
        let text = |key| member.get_str(key).unwrap_or_default();
        // A member that does not answer is shown at the beginning of time.
        let applied = member.get_document("optime").and_then(|optime| optime.get_timestamp("ts"));
        Self {
            name: text("name"),
            word: text("stateStr"),
            seconds: applied.unwrap_or(Timestamp { time: 0, increment: 0 }).time,
            version: integer(member, "configVersion"),
            term: integer(member, "configTerm"),
        }
    }
}

/// The documents of an array.
pub(super) fn documents<'a>(document: &'a Document, key: &str) -> impl Iterator<Item = &'a Document> {
    document.get_array(key).map(Vec::as_slice).unwrap_or_default().iter().filter_map(Bson::as_document)
}

/// A whole number, in whichever of its types the server has kept it.
pub(super) fn integer(document: &Document, key: &str) -> Option<i64> {
    document.get(key).and_then(whole)
}

/// A value as a whole number.
pub(super) fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        #[expect(clippy::cast_possible_truncation, reason = "settings and versions are small whole numbers")]
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn at(seconds: u32) -> Document {
        doc! {"ts": Timestamp { time: seconds, increment: 1 }, "t": 1_i64}
    }

    fn set() -> Set {
        let config = doc! {"_id": "rs0", "version": 4, "term": 2_i64, "members": [
            {"_id": 0, "host": "a:1", "votes": 1},
            {"_id": 1, "host": "b:1", "votes": 1.0},
            {"_id": 2, "host": "c:1", "votes": 1_i64},
            {"_id": 3, "host": "d:1", "votes": 0},
        ]};
        let status = doc! {"members": [
            {"name": "a:1", "stateStr": "PRIMARY", "optime": at(1000), "configVersion": 4, "configTerm": 2},
            {"name": "b:1", "stateStr": "SECONDARY", "optime": at(995), "configVersion": 4, "configTerm": 2},
            {"name": "c:1", "stateStr": "(not reachable/healthy)", "optime": at(0), "configVersion": -1, "configTerm": -1},
            {"name": "d:1", "stateStr": "STARTUP2", "optime": at(1000), "configVersion": 3, "configTerm": 2},
        ]};
        Set::new(config, &status)
    }

    #[test]
    fn a_member_has_caught_up_when_it_serves_and_is_a_moment_behind_at_most() {
        let set = set();
        let caught_up: Vec<_> = set.peers.iter().map(Peer::caught_up).collect();
        assert_eq!(caught_up, [true, true, false, false]);
        assert_eq!(set.peer("b:1").unwrap().lag, Some(5));
    }

    #[test]
    fn a_member_that_does_not_answer_us_has_not_caught_up_whatever_the_others_believe() {
        let mut set = set();
        set.peers[1].answers = false;
        assert!(!set.peers[1].caught_up());
    }

    #[test]
    fn nobody_has_caught_up_with_a_primary_that_is_not_there() {
        let config = doc! {"version": 1, "members": [{"_id": 0, "host": "a:1"}]};
        let status = doc! {"members": [{"name": "a:1", "stateStr": "SECONDARY", "optime": at(1000)}]};
        let set = Set::new(config, &status);
        assert!(set.primary().is_none());
        assert!(!set.peers[0].caught_up());
    }

    #[test]
    fn a_configuration_is_committed_once_most_voters_have_it() {
        let mut set = set();
        assert!(set.is_committed());
        set.peers[1].informed = false;
        assert!(!set.is_committed());
        set.peers[3].informed = true;
        assert!(!set.is_committed(), "who does not vote does not count");
    }

    #[test]
    fn a_member_that_the_status_does_not_show_is_unknown() {
        let set = Set::new(doc! {"members": [{"_id": 0, "host": "a:1"}]}, &doc! {"members": []});
        assert_eq!(set.peers[0].state, "UNKNOWN");
        assert!(set.peers[0].votes);
    }
}
