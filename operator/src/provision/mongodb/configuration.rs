//! The replica set's configuration document (`MongoDB` manual, "Replica Set Configuration"), and how it is changed.

use mongodb::bson::{Bson, Document, doc};

use super::Target;
use super::member::{Member, code};
use super::membership::Step;
use super::set::{documents, integer, whole};
use crate::provision::{Error, PATIENCE};

/// With these a lost primary is replaced after about 3 s; by default it takes 11 s.
const ELECTION_TIMEOUT_MILLIS: i64 = 2000;
const HEARTBEAT_INTERVAL_MILLIS: i64 = 500;
/// How long a primary that has stepped down is no candidate. Long enough to be restarted meanwhile, and short enough to help when all
/// others are lost.
const STEP_DOWN_SECONDS: i32 = 20;

/// What the primary says when a change cannot be made just now: it is no primary any more, the change before has not reached a majority,
/// or it has been made and has not reached one in time.
const NOT_NOW: [i32; 6] = [
    50,     // MaxTimeMSExpired
    109,    // ConfigurationInProgress
    189,    // PrimarySteppedDown
    308,    // CurrentConfigNotCommittedYet
    10_107, // NotWritablePrimary
    11_602, // InterruptedDueToReplStateChange
];

/// The configuration that makes a new set of the wanted members.
pub(super) fn first(target: &Target) -> Document {
    let members: Vec<_> =
        (0_i32..).zip(&target.members).map(|(id, host)| doc! {"_id": id, "host": host.as_str()}).collect();
    doc! {"_id": target.replica_set.as_str(), "members": members, "settings": settings()}
}

/// The configuration to replace this one by, or nothing when its settings, and those of its voters, are as they shall be.
pub(super) fn corrected(config: &Document) -> Option<Document> {
    let mut corrected = config.clone();
    let mut merged = config.get_document("settings").cloned().unwrap_or_default();
    set_numbers(&mut merged, &settings());
    corrected.insert("settings", merged);
    each_member(&mut corrected, |member| {
        if integer(member, "votes") != Some(0) {
            // Each may become primary, none rather than another: a preference would cost an election whenever the preferred one is back.
            set_numbers(member, &doc! {"priority": 1});
            member.insert("hidden", false);
        }
        // Members that lag on purpose do not help when others are lost.
        set_numbers(member, &doc! {"secondaryDelaySecs": 0_i64});
    });
    (corrected != *config).then_some(corrected)
}

/// The configuration after one change of its members.
pub(super) fn changed(config: &Document, step: &Step) -> Document {
    let mut changed = config.clone();
    let mut members: Vec<Document> = documents(config, "members").cloned().collect();
    match step {
        Step::Add(host) => {
            // A number that a configuration still holds belongs to somebody; of one more than there are members, one is free.
            let taken = |id: &i64| members.iter().any(|member| integer(member, "_id") == Some(*id));
            let id = (0_i64..).take(members.len() + 1).find(|id| !taken(id));
            members.push(doc! {"_id": id, "host": host.as_str(), "votes": 0, "priority": 0});
        }
        Step::GiveVote(host) => {
            for member in members.iter_mut().filter(|member| is(member, host)) {
                member.insert("votes", 1);
                member.insert("priority", 1);
                member.insert("hidden", false);
            }
        }
        Step::Remove(host) => members.retain(|member| !is(member, host)),
        Step::HandOver(_) => {}
    }
    changed.insert("members", members);
    changed
}

/// Installs a configuration on the primary, never by force. False when that cannot be just now.
pub(super) async fn install(primary: &Member, mut config: Document) -> Result<bool, Error> {
    config.insert("version", integer(&config, "version").unwrap_or(0) + 1);
    run(primary, "change its configuration", doc! {"replSetReconfig": config, "maxTimeMS": millis()}).await
}

/// Has the primary hand over to a member that has caught up. False when that cannot be just now.
pub(super) async fn step_down(primary: &Member) -> Result<bool, Error> {
    let catch_up = i32::try_from(PATIENCE.as_secs()).unwrap_or(i32::MAX);
    let command = doc! {"replSetStepDown": STEP_DOWN_SECONDS, "secondaryCatchUpPeriodSecs": catch_up};
    run(primary, "step down", command).await
}

/// Makes a secondary a candidate again that has been primary and stepped down a moment ago: it may be the only one there is, and the
/// primary takes no writes while it looks for one in vain.
pub(super) async fn stand_for_election(member: &Member) {
    // Refused by who is no secondary, and so no candidate anyway.
    let _ = member.command(doc! {"replSetFreeze": 0}).await;
}

async fn run(primary: &Member, action: &str, command: Document) -> Result<bool, Error> {
    match primary.command(command).await {
        Ok(_) => Ok(true),
        Err(error) if code(&error).is_some_and(|code| NOT_NOW.contains(&code)) => Ok(false),
        Err(error) => Err(primary.failed(action, &error)),
    }
}

fn millis() -> i32 {
    i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX)
}

fn settings() -> Document {
    doc! {"electionTimeoutMillis": ELECTION_TIMEOUT_MILLIS, "heartbeatIntervalMillis": HEARTBEAT_INTERVAL_MILLIS}
}

/// Sets numbers that differ. A number that is right in another type is left alone.
fn set_numbers(document: &mut Document, wanted: &Document) {
    for (key, wanted) in wanted {
        if document.get(key).and_then(whole) != whole(wanted) {
            document.insert(key, wanted.clone());
        }
    }
}

fn each_member(config: &mut Document, mut change: impl FnMut(&mut Document)) {
    let members = config.get_array_mut("members").into_iter().flatten();
    members.filter_map(Bson::as_document_mut).for_each(&mut change);
}

fn is(member: &Document, host: &str) -> bool {
    member.get_str("host").is_ok_and(|name| name == host)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// As a server tells it.
    fn config() -> Document {
        let member = |id: i32, host: &str| {
            doc! {
                "_id": id, "host": host, "arbiterOnly": false, "buildIndexes": true, "hidden": false, "priority": 1,
                "tags": {}, "secondaryDelaySecs": 0_i64, "votes": 1,
            }
        };
        doc! {
            "_id": "rs0", "version": 3, "term": 1_i64, "members": [member(0, "a:1"), member(1, "b:1"), member(2, "c:1")],
            "settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500.0, "catchUpTimeoutMillis": -1},
        }
    }

    fn member<'a>(config: &'a Document, host: &str) -> Option<&'a Document> {
        documents(config, "members").find(|member| is(member, host))
    }

    fn ids(config: &Document) -> Vec<Option<i64>> {
        documents(config, "members").map(|member| integer(member, "_id")).collect()
    }

    #[test]
    fn settings_that_agree_in_any_type_of_number_are_left_alone() {
        assert_eq!(corrected(&config()), None);
    }

    #[test]
    fn what_was_changed_by_hand_is_corrected_and_what_else_is_set_stays() {
        let mut found = config();
        found.get_document_mut("settings").unwrap().insert("electionTimeoutMillis", 10_000);
        each_member(&mut found, |member| {
            if is(member, "b:1") {
                member.extend(doc! {"priority": 5, "hidden": true, "secondaryDelaySecs": 3600, "tags": {"dc": "east"}});
            }
        });
        let corrected = corrected(&found).unwrap();
        let settings = corrected.get_document("settings").unwrap();
        assert_eq!(integer(settings, "electionTimeoutMillis"), Some(2000));
        assert_eq!(integer(settings, "catchUpTimeoutMillis"), Some(-1));
        let b = member(&corrected, "b:1").unwrap();
        assert_eq!((integer(b, "priority"), integer(b, "secondaryDelaySecs")), (Some(1), Some(0)));
        assert!(!b.get_bool("hidden").unwrap());
        assert_eq!(b.get_document("tags").unwrap(), &doc! {"dc": "east"});
    }

    #[test]
    fn a_member_without_a_vote_keeps_the_priority_that_it_must_have() {
        let found = changed(&config(), &Step::Add("d:1".to_owned()));
        let d = |config: &Document| member(config, "d:1").map(|d| (integer(d, "votes"), integer(d, "priority")));
        assert_eq!(d(&found), Some((Some(0), Some(0))));
        assert_eq!(corrected(&found).and_then(|corrected| d(&corrected)), Some((Some(0), Some(0))));
        let voting = changed(&found, &Step::GiveVote("d:1".to_owned()));
        assert_eq!(d(&voting), Some((Some(1), Some(1))));
    }

    #[test]
    fn a_number_is_given_to_nobody_else_while_the_configuration_holds_it() {
        let fewer = changed(&config(), &Step::Remove("b:1".to_owned()));
        assert_eq!(ids(&fewer), [Some(0), Some(2)]);
        let more = changed(&fewer, &Step::Add("d:1".to_owned()));
        assert_eq!(ids(&more), [Some(0), Some(2), Some(1)]);
        assert_eq!(ids(&changed(&more, &Step::Add("e:1".to_owned()))), [Some(0), Some(2), Some(1), Some(3)]);
    }

    #[test]
    fn other_members_are_not_touched() {
        for step in [Step::Add("d:1".to_owned()), Step::GiveVote("d:1".to_owned()), Step::Remove("d:1".to_owned())] {
            let changed = changed(&config(), &step);
            for host in ["a:1", "b:1", "c:1"] {
                assert_eq!(member(&changed, host), member(&config(), host), "{step:?}");
            }
        }
    }
}
