//! A replica set that grows, changes and loses its members while people write. Each scenario ends with a look at every message that
//! was acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::chronicle::Chronicle;
use super::documents;
use super::faults::{self, Away, NAME_SERVERS, OPERATOR, name_of, pods_of};
use super::load::{Crowd, Load, under_load};
use super::production;
use super::replica_set::{self, COMPONENT, CONTAINER, View, secondaries_and_primary};
use super::wait::until;
use crate::progress::seconds;

const CONDITION: &str = "MongoDBReady";
/// Messages that show that writing goes on.
const SEVERAL: usize = 20;
/// The longest that a killed primary may cost. The median is measured by `cargo e2e bench data`.
const FAIL_OVER_LIMIT: Duration = Duration::from_secs(10);
/// How long a pod or a set may take to be replaced by another one.
const REPLACED_WITHIN: Duration = Duration::from_mins(1);

pub(super) fn three_members_become_five_and_three_again_under_continuous_writes(stage: &Stage) -> Result<()> {
    stage.change_for_good(&members(3))?;
    stage.wait_until_ready()?;
    let ((), written) = under_load(stage, &Crowd::apart(), |load| {
        for count in [5, 3] {
            load.wait_for_more(SEVERAL)?;
            stage.change_for_good(&members(count))?;
            stage.wait_until_ready()?;
            let view = View::take(stage)?;
            ensure!(view.members().len() == count, "the set has {:?} instead of {count} members", view.members());
        }
        load.wait_for_more(SEVERAL)
    })?;
    until("the volumes of the two that left are gone", REPLACED_WITHIN, || {
        let claims = stage.of_component("persistentvolumeclaims", COMPONENT)?.len();
        ensure!(claims == 3, "there are {claims}");
        Ok(())
    })?;
    stage.note(written.note());
    Ok(())
}

pub(super) fn a_rolling_change_restarts_the_secondaries_first_and_the_primary_last(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let (before, primary) = (uids(&pods_of(stage, COMPONENT)?)?, replica_set::primary(stage)?);
    let (after, written) = under_load(stage, &Crowd::together(), |load| {
        load.wait_for_more(SEVERAL)?;
        // To take it back would be another one.
        stage.change_for_good(&json!({"spec": {"mongodb": {"resources": {"requests": {"cpu": "15m"}}}}}))?;
        stage.wait_until_ready()?;
        load.wait_for_more(SEVERAL)?;
        pods_of(stage, COMPONENT)
    })?;
    let kept: Vec<String> =
        uids(&after)?.into_iter().filter(|(pod, uid)| before.get(pod) == Some(uid)).map(|(pod, _)| pod).collect();
    ensure!(kept.is_empty(), "not restarted: {kept:?}");
    let order = one_after_the_other(&after)?;
    ensure!(order.last() == Some(&primary), "the primary was {primary}, but the order of restarts {order:?}");
    stage.note(written.note());
    Ok(())
}

pub(super) fn a_version_that_does_not_exist_stops_at_the_first_member_while_the_others_serve(
    stage: &Stage,
) -> Result<()> {
    production::on_stage(stage)?;
    let (before, primary) = (uids(&pods_of(stage, COMPONENT)?)?, replica_set::primary(stage)?);
    let (changed, written) = under_load(stage, &Crowd::together(), |load| {
        load.wait_for_more(SEVERAL)?;
        let chronicle = Chronicle::open(stage)?;
        stage.change(&json!({"spec": {"mongodb": {"version": "6.0.99"}}}))?;
        chronicle.tells(CONDITION, &["6.0.99"])?;
        load.wait_for_more(SEVERAL)?;
        let pods = uids(&pods_of(stage, COMPONENT)?)?;
        let changed: Vec<String> =
            pods.into_iter().filter(|(pod, uid)| before.get(pod) != Some(uid)).map(|(pod, _)| pod).collect();
        ensure!(changed.len() == 1, "it did not stop at the first member: {changed:?}");
        ensure!(changed[0] != primary, "the primary went first");
        chronicle.tells(CONDITION, &[&changed[0], "6.0.99", "cannot be pulled"])?;
        // Corrected by a person.
        stage.change(&json!({}))?;
        stage.wait_until_ready()?;
        load.wait_for_more(SEVERAL)?;
        Ok(changed)
    })?;
    let after = uids(&pods_of(stage, COMPONENT)?)?;
    let kept = after.iter().filter(|(pod, uid)| before.get(*pod) == Some(uid)).count();
    ensure!(kept == 2, "more than {changed:?} was restarted to correct it: {kept} kept");
    stage.note(written.note());
    Ok(())
}

pub(super) fn each_member_killed_in_turn_loses_nothing_that_was_acknowledged(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let (secondaries, primary) = secondaries_and_primary(stage)?;
    let (outage, written) = under_load(stage, &Crowd::together(), |load| {
        for secondary in &secondaries {
            kill(stage, load, name_of(secondary)?)?;
        }
        kill(stage, load, name_of(&primary)?)
    })?;
    stage.note(format!("{} after the primary was killed; {}", seconds(outage), written.note()));
    ensure!(outage <= FAIL_OVER_LIMIT, "nothing was acknowledged for {} after the primary was killed", seconds(outage));
    Ok(())
}

pub(super) fn a_member_that_is_back_before_names_are_known_joins_again_and_nothing_is_lost(
    stage: &Stage,
) -> Result<()> {
    production::on_stage(stage)?;
    let (secondaries, _) = secondaries_and_primary(stage)?;
    let late = secondaries.first().context("the set has no secondaries")?;
    let (name, uid) = (name_of(late)?, late["metadata"]["uid"].clone());
    let ((), written) = under_load(stage, &Crowd::together(), |load| {
        load.wait_for_more(SEVERAL)?;
        let away = Away::begin(stage, &NAME_SERVERS)?;
        stage.kubectl(["delete", "pod", name, "--wait=false"])?;
        stage.wait_for_another("pod", name, &uid, REPLACED_WITHIN)?;
        until("its process runs", REPLACED_WITHIN, || {
            let status = &stage.kubectl_json(["get", "pod", name])?["status"];
            let started = &status["containerStatuses"][0]["state"]["running"]["startedAt"];
            ensure!(started.is_string(), "{}", status["phase"]);
            Ok(())
        })?;
        drop(away);
        stage.wait_until_ready()?;
        load.wait_for_more(SEVERAL)
    })?;
    let view = View::take(stage)?;
    ensure!(view.members().len() == 3, "the set has {:?}", view.members());
    stage.note(written.note());
    Ok(())
}

/// Kills a member, sees it told of, and waits until it is back; answers how long nothing was acknowledged.
fn kill(stage: &Stage, load: &Load, pod: &str) -> Result<Duration> {
    load.wait_for_more(SEVERAL)?;
    let chronicle = Chronicle::open(stage)?;
    let killed = faults::kill(stage, pod, CONTAINER)?;
    load.wait_for_more(SEVERAL)?;
    tells_of(&chronicle, pod)?;
    stage.wait_until_ready()?;
    load.outage_since(killed)
}

/// Waits until the status has named a member as one that does not serve.
fn tells_of(chronicle: &Chronicle, pod: &str) -> Result<()> {
    let serves = ["PRIMARY", "SECONDARY"].map(|state| format!("{pod} {state}"));
    chronicle.tells_without(CONDITION, &[pod], &serves.each_ref().map(String::as_str))
}

pub(super) fn a_deleted_statefulset_of_three_members_is_made_anew_with_its_data(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let name = format!("{}-{COMPONENT}", stage.platform);
    let uid = stage.kubectl_json(["get", "statefulset", &name])?["metadata"]["uid"].clone();
    let ((), written) = under_load(stage, &Crowd::together(), |load| {
        load.wait_for_more(SEVERAL)?;
        let chronicle = Chronicle::open(stage)?;
        stage.kubectl(["delete", "statefulset", &name, "--wait=false"])?;
        stage.wait_for_another("statefulset", &name, &uid, REPLACED_WITHIN)?;
        chronicle.tells(CONDITION, &[COMPONENT])?;
        stage.wait_until_ready()?;
        load.wait_for_more(SEVERAL)
    })?;
    stage.note(written.note());
    Ok(())
}

pub(super) fn all_members_killed_at_once_come_back_with_everything(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let (outage, written) = under_load(stage, &Crowd::together(), |load| {
        load.wait_for_more(SEVERAL)?;
        let chronicle = Chronicle::open(stage)?;
        let killed = faults::kill_all(stage, &pods_of(stage, COMPONENT)?, CONTAINER)?;
        chronicle.tells(CONDITION, &[COMPONENT])?;
        load.wait_for_more(SEVERAL)?;
        stage.wait_until_ready()?;
        load.outage_since(killed)
    })?;
    stage.note(format!("{} without an acknowledgement; {}", seconds(outage), written.note()));
    Ok(())
}

pub(super) fn a_primary_killed_while_the_operator_is_away_is_replaced_all_the_same(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let ((), written) = under_load(stage, &Crowd::together(), |load| {
        load.wait_for_more(SEVERAL)?;
        let away = Away::begin(stage, &OPERATOR)?;
        let primary = replica_set::primary(stage)?;
        let killed = faults::kill(stage, &primary, CONTAINER)?;
        load.wait_for_more(SEVERAL)?;
        let outage = load.outage_since(killed)?;
        ensure!(outage <= FAIL_OVER_LIMIT, "nothing was acknowledged for {}", seconds(outage));
        away.end()?;
        stage.wait_until_ready()?;
        load.wait_for_more(SEVERAL)
    })?;
    stage.note(written.note());
    Ok(())
}

pub(super) fn a_member_whose_volume_is_lost_is_filled_anew(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let (secondaries, _) = secondaries_and_primary(stage)?;
    let secondary = secondaries.first().context("there is no secondary")?;
    let (name, uid) = (name_of(secondary)?, &secondary["metadata"]["uid"]);
    let ((), written) = under_load(stage, &Crowd::together(), |load| {
        load.wait_for_more(SEVERAL)?;
        let chronicle = Chronicle::open(stage)?;
        faults::lose_volume(stage, secondary)?;
        stage.wait_for_another("pod", name, uid, REPLACED_WITHIN)?;
        load.wait_for_more(SEVERAL)?;
        tells_of(&chronicle, name)?;
        stage.wait_until_ready()?;
        load.wait_for_more(SEVERAL)
    })?;
    until("the member has what the others have", REPLACED_WITHIN, || {
        let messages = |pod: &str| documents::count(stage, "chat", pod, "messages", &json!({}));
        let (there, here) = (messages(&replica_set::primary(stage)?)?, messages(name)?);
        ensure!(there == here && here > 0, "{here} messages at {name}, {there} at the primary");
        Ok(())
    })?;
    stage.note(written.note());
    Ok(())
}

fn members(count: usize) -> Value {
    json!({"spec": {"mongodb": {"members": count}}})
}

/// The identity of each pod, by its name.
fn uids(pods: &[Value]) -> Result<BTreeMap<String, String>> {
    pods.iter()
        .map(|pod| {
            Ok((name_of(pod)?.to_owned(), pod["metadata"]["uid"].as_str().context("a pod has no uid")?.to_owned()))
        })
        .collect()
}

/// The names of pods in the order in which they were made; an error if one was made before the one before it was ready.
fn one_after_the_other(pods: &[Value]) -> Result<Vec<String>> {
    let mut times = pods
        .iter()
        .map(|pod| {
            let made = pod["metadata"]["creationTimestamp"].as_str().context("a pod has no creation time")?;
            let conditions = pod["status"]["conditions"].as_array().context("a pod has no conditions")?;
            let ready =
                conditions.iter().find(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            let ready = ready.and_then(|ready| ready["lastTransitionTime"].as_str()).context("a pod is not ready")?;
            // RFC 3339 in UTC and whole seconds: such times compare as texts.
            Ok((made, ready, name_of(pod)?))
        })
        .collect::<Result<Vec<_>>>()?;
    times.sort_unstable();
    for (before, after) in times.iter().zip(times.iter().skip(1)) {
        ensure!(
            before.1 <= after.0,
            "{} was restarted at {}, before {} was ready at {}",
            after.2,
            after.0,
            before.2,
            before.1
        );
    }
    Ok(times.into_iter().map(|(_, _, name)| name.to_owned()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pod(name: &str, made: &str, ready: &str) -> Value {
        json!({
            "metadata": {"name": name, "creationTimestamp": format!("2026-01-01T00:00:{made}Z")},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": format!("2026-01-01T00:00:{ready}Z")}]},
        })
    }

    #[test]
    fn the_order_of_restarts_is_the_order_of_the_new_pods() {
        let pods = [pod("a-0", "21", "25"), pod("a-1", "10", "14"), pod("a-2", "15", "20")];
        assert_eq!(one_after_the_other(&pods).unwrap(), ["a-1", "a-2", "a-0"]);
    }

    #[test]
    fn a_restart_before_the_one_before_was_ready_is_an_error() {
        let pods = [pod("a-0", "10", "14"), pod("a-1", "13", "20")];
        let error = one_after_the_other(&pods).unwrap_err().to_string();
        assert!(error.starts_with("a-1 was restarted at"), "{error}");
    }
}
