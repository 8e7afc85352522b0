//! The replica set's configuration document (`MongoDB` manual, "Replica Set Configuration").

use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document, doc};

use super::Target;
use super::member::Member;
use crate::provision::Error;

/// With these a lost primary is replaced after about 3 s; by default it takes 11 s.
const ELECTION_TIMEOUT_MILLIS: i64 = 2000;
const HEARTBEAT_INTERVAL_MILLIS: i64 = 500;

pub(super) async fn initiate(member: &Member, target: &Target) -> Result<(), Error> {
    member.admin("initiate the replica set", doc! {"replSetInitiate": first(target)}).await.map(drop)
}

/// Corrects settings and default write concern on the primary.
pub(super) async fn reconcile(member: &Member, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    let answer = member.admin("tell its configuration", doc! {"replSetGetConfig": 1}).await?;
    let config = answer.get_document("config").cloned().unwrap_or_default();
    if let Some(corrected) = corrected(&config) {
        member.admin("change its configuration", doc! {"replSetReconfig": corrected}).await?;
        changes.push("corrected the settings of elections".to_owned());
    }
    let present: BTreeSet<_> = hosts(&config).collect();
    if present != target.members.iter().map(String::as_str).collect() {
        let present = Vec::from_iter(present);
        return Err(member.conflict(
            format!("has the members {}, not {}", present.join(", "), target.members.join(", ")),
            "Set spec.mongodb.members back to the number of members the set has",
        ));
    }
    let defaults = member.admin("tell its default write concern", doc! {"getDefaultRWConcern": 1}).await?;
    if !writes_to_majority(&defaults) {
        let command = doc! {
            "setDefaultRWConcern": 1,
            "defaultWriteConcern": {"w": "majority"},
            "writeConcern": {"w": "majority", "wtimeout": 5000},
        };
        member.admin("set its default write concern", command).await?;
        changes.push("set the default write concern to majority".to_owned());
    }
    Ok(())
}

fn first(target: &Target) -> Document {
    let members: Vec<_> =
        (0_i32..).zip(&target.members).map(|(id, host)| doc! {"_id": id, "host": host.as_str()}).collect();
    doc! {"_id": target.replica_set.as_str(), "members": members, "settings": settings()}
}

fn settings() -> Document {
    doc! {"electionTimeoutMillis": ELECTION_TIMEOUT_MILLIS, "heartbeatIntervalMillis": HEARTBEAT_INTERVAL_MILLIS}
}

/// The configuration to replace this one by, or nothing when its settings are as they shall be.
fn corrected(config: &Document) -> Option<Document> {
    let found = config.get_document("settings").ok();
    let differs = settings()
        .iter()
        .any(|(key, wanted)| found.and_then(|settings| settings.get(key)).and_then(number) != number(wanted));
    if !differs {
        return None;
    }
    let mut corrected = config.clone();
    let mut merged = found.cloned().unwrap_or_default();
    merged.extend(settings());
    corrected.insert("settings", merged);
    corrected.insert("version", config.get("version").and_then(number).unwrap_or(0) + 1);
    Some(corrected)
}

fn hosts(config: &Document) -> impl Iterator<Item = &str> {
    let members = config.get_array("members").map(Vec::as_slice).unwrap_or_default();
    members.iter().filter_map(|member| member.as_document()?.get_str("host").ok())
}

fn writes_to_majority(defaults: &Document) -> bool {
    // "implicit" is what the server works out by itself, and that changes with the members.
    let is = |document: &Document, key, wanted| document.get_str(key).is_ok_and(|found| found == wanted);
    is(defaults, "defaultWriteConcernSource", "global")
        && defaults.get_document("defaultWriteConcern").is_ok_and(|concern| is(concern, "w", "majority"))
}

/// A number in whichever of its types the server has kept it.
fn number(value: &Bson) -> Option<i64> {
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

    #[test]
    fn settings_that_agree_in_any_type_of_number_are_left_alone() {
        let config = doc! {"version": 3, "settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500.0}};
        assert_eq!(corrected(&config), None);
    }

    #[test]
    fn a_correction_counts_the_version_up_and_keeps_what_else_is_set() {
        let config = doc! {
            "_id": "rs0", "version": 3_i64, "members": [{"_id": 0, "host": "a:1"}],
            "settings": {"electionTimeoutMillis": 10_000, "catchUpTimeoutMillis": -1},
        };
        let corrected = corrected(&config).unwrap();
        assert_eq!(corrected.get_i64("version").unwrap(), 4);
        let settings = corrected.get_document("settings").unwrap();
        assert_eq!(settings.get_i64("electionTimeoutMillis").unwrap(), 2000);
        assert_eq!(settings.get_i64("heartbeatIntervalMillis").unwrap(), 500);
        assert_eq!(settings.get_i32("catchUpTimeoutMillis").unwrap(), -1);
        assert_eq!(hosts(&corrected).collect::<Vec<_>>(), ["a:1"]);
    }

    #[test]
    fn a_majority_that_is_only_implied_does_not_count() {
        let defaults = |source| doc! {"defaultWriteConcern": {"w": "majority"}, "defaultWriteConcernSource": source};
        assert!(writes_to_majority(&defaults("global")));
        assert!(!writes_to_majority(&defaults("implicit")));
    }
}
