//! The end of a platform.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::media::{content, upload};
use super::people::two_in_conversation;
use super::site::Site;
use super::wait::until;
use crate::progress::seconds;

/// Servers hand over what they hold before they stop, and some wait for others with that.
const LIMIT: Duration = Duration::from_mins(4);

/// Secrets that are made anew, with which nothing is lost: certificates that the platform's own authority, which stays, signs again.
const PASSING: [&str; 2] = ["edge-tls", "mongodb-tls"];
/// Some of those that stay, without which what the volumes hold could not be read or not be reached.
const NEEDED: [&str; 5] = ["message-keys", "mongodb", "rabbitmq", "object-storage", "chat"];

pub(super) fn a_deleted_platform_leaves_only_its_data_which_a_new_one_takes_up(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let message = ada.send(stage, &conversation, "to be kept")?;
    let media = upload(stage, &ada, b"to be kept as well")?;
    let (secrets, claims) = (secrets(stage)?, claims(stage)?);
    for needed in NEEDED.map(|secret| format!("{}-{secret}", stage.platform)) {
        ensure!(secrets.contains_key(&needed), "there is no Secret {needed}");
    }

    stage.kubectl(["delete", "chatplatform", &stage.platform, "--timeout=120s"])?;
    until("everything but the data is gone", LIMIT, || {
        let left = left(stage, |kind| kind != "PersistentVolumeClaim" && kind != "Secret")?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })?;
    ensure!(self::claims(stage)? == claims, "the claims are not as they were");
    same(&secrets, &self::secrets(stage)?).context("after the deletion")?;

    let took = stage.apply_platform()?;
    stage.trust_anew()?;
    stage.wait_until_usable()?;
    stage.note(format!("ready again after {}", seconds(took)));
    ensure!(self::claims(stage)? == claims, "the new platform did not take up the claims");
    same(&secrets, &self::secrets(stage)?).context("the new platform did not take up the Secrets")?;
    let history = ben.log_in(stage)?.history(stage, &conversation)?;
    ensure!(history == [message], "the message is not as it was: {history:?}");
    let file = ada.log_in(stage)?.get(stage, &content(&media)?)?;
    ensure!(file.bytes == b"to be kept as well", "the file is not as it was: {}", file.status);
    Ok(())
}

pub(super) fn a_platform_deleted_with_the_policy_delete_leaves_nothing(stage: &Stage) -> Result<()> {
    stage.apply_platform()?;
    let volumes: Vec<String> = claims(stage)?.into_values().collect();
    ensure!(volumes.len() >= 4, "there are only {} volumes", volumes.len());
    remove_with_all_data(stage)?;
    until("the volumes are gone", LIMIT, || {
        let left = stage.cluster.kubectl(["get", "persistentvolumes", "--output=name"])?;
        let left: Vec<&String> = volumes.iter().filter(|volume| left.contains(volume.as_str())).collect();
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })
}

/// Deletes the platform with its volumes and Secrets, and waits until nothing of it is left.
pub(crate) fn remove_with_all_data(site: &Site) -> Result<()> {
    let policy = json!({"spec": {"deletionPolicy": "Delete"}}).to_string();
    site.kubectl(["patch", "chatplatform", &site.platform, "--type=merge", "--patch", &policy])?;
    // What is to go with the platform is written into its objects first.
    site.wait_until_observed()?;
    site.kubectl(["delete", "chatplatform", &site.platform, "--timeout=120s"])?;
    until("nothing is left", LIMIT, || {
        let left = left(site, |_| true)?;
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })
}

/// Kind and name of the platform's objects that are still there, of the kinds that are asked for.
fn left(site: &Site, of_interest: impl Fn(&Value) -> bool) -> Result<Vec<String>> {
    let objects = site.owned_objects()?;
    let interesting = objects.iter().filter(|object| of_interest(&object["kind"]));
    Ok(interesting.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect())
}

/// The data of the Secrets that are to stay, by their names.
fn secrets(site: &Site) -> Result<BTreeMap<String, Value>> {
    let passing = PASSING.map(|secret| format!("{}-{secret}", site.platform));
    let secrets = of_instance(site, "secrets")?;
    let named = secrets.iter().map(|secret| (word(&secret["metadata"]["name"]), secret["data"].clone()));
    Ok(named.filter(|(name, _)| !passing.contains(name)).collect())
}

/// Names the Secrets that differ, and does not show them.
fn same(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Result<()> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing: Vec<&&String> = names.iter().filter(|name| before.get(**name) != after.get(**name)).collect();
    ensure!(differing.is_empty(), "not as they were: {differing:?}");
    Ok(())
}

/// The volume of each claim.
fn claims(site: &Site) -> Result<BTreeMap<String, String>> {
    let claims = of_instance(site, "persistentvolumeclaims")?;
    Ok(claims.iter().map(|claim| (word(&claim["metadata"]["name"]), word(&claim["spec"]["volumeName"]))).collect())
}

fn of_instance(site: &Site, kind: &str) -> Result<Vec<Value>> {
    let label = format!("app.kubernetes.io/instance={}", site.platform);
    let listed = site.kubectl_json(["get", kind, "--selector", &label])?;
    Ok(listed["items"].as_array().cloned().unwrap_or_default())
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secrets_that_differ_or_are_gone_are_named_and_not_shown() {
        let before = BTreeMap::from([("a".to_owned(), json!({"key": "one"})), ("b".to_owned(), json!({"key": "two"}))]);
        same(&before, &before.clone()).unwrap();
        let after = BTreeMap::from([("a".to_owned(), json!({"key": "other"}))]);
        assert_eq!(same(&before, &after).unwrap_err().to_string(), r#"not as they were: ["a", "b"]"#);
    }
}
