//! A platform that is paused, changed by hand, or in hibernation.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::faults::name_of;
use super::media::{content, upload};
use super::people::two_in_conversation;
use super::status::condition;
use super::wait::until;
use super::{Stage, production};
use crate::progress::seconds;

/// An annotation of the edge's Service, which the document can ask for and nothing restarts for.
const NOTE: &str = "example.com/lifecycle";
/// A label and an annotation of somebody else's.
const THEIRS: &str = "example.com/team";
/// How long a change that restarts nothing may take, and a repair.
const CHANGED_WITHIN: Duration = Duration::from_secs(20);
/// Servers hand over what they hold before they stop, and some wait for others with that.
const SLEEPS_WITHIN: Duration = Duration::from_mins(4);

pub(super) fn a_paused_platform_ignores_edits_and_converges_afterwards(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let _restored = Restored(stage);
    stage.change(&json!({"spec": {"paused": true}}))?;
    until("Paused is True", CHANGED_WITHIN, || {
        let paused = condition(&stage.read_platform()?, "Paused")?;
        ensure!(paused["status"] == "True", "{paused}");
        Ok(())
    })?;
    let mut edit = noted("while paused");
    edit["spec"]["paused"] = true.into();
    stage.change(&edit)?;
    stage.wait_until_observed()?;
    ensure!(note(stage)?.is_null(), "the edit was carried out: {}", note(stage)?);

    stage.change(&noted("while paused"))?;
    wait_for_note(stage, &"while paused".into())?;
    stage.wait_until_ready()?;
    let paused = condition(&stage.read_platform()?, "Paused")?;
    ensure!(paused["status"] == "False", "{paused}");
    Ok(())
}

pub(super) fn foreign_labels_and_annotations_survive_a_repair_which_an_event_tells_of(stage: &Stage) -> Result<()> {
    const KINDS: &str = "services,deployments,statefulsets,configmaps,secrets,networkpolicies";
    stage.wait_until_ready()?;
    let _taken_off = TakenOff(stage, KINDS);
    let ours = selector(stage);
    for verb in ["label", "annotate"] {
        stage.kubectl([verb, KINDS, &ours, &format!("{THEIRS}=blue")])?;
    }
    let web = format!("{}-web", stage.platform);
    let size = |replicas: u64| {
        until("the Deployment has its size", CHANGED_WITHIN, || {
            let found = &stage.kubectl_json(["get", "deployment", &web])?["spec"]["replicas"];
            ensure!(*found == replicas, "it has {found}");
            Ok(())
        })
    };
    size(1)?;
    stage.kubectl(["scale", "deployment", &web, "--replicas=2"])?;
    stage.kubectl(["label", "service", &web, "app.kubernetes.io/part-of=theirs", "--overwrite"])?;
    size(1)?;
    until("the Service has our label", CHANGED_WITHIN, || {
        let label = &stage.kubectl_json(["get", "service", &web])?["metadata"]["labels"]["app.kubernetes.io/part-of"];
        ensure!(*label == "chatplatform", "it has {label}");
        Ok(())
    })?;
    stage.wait_until_ready()?;

    let listed = stage.kubectl_json(["get", KINDS, &ours])?;
    let objects = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(objects.len() > 30, "there are only {} objects", objects.len());
    for object in objects {
        let metadata = &object["metadata"];
        ensure!(
            metadata["labels"][THEIRS] == "blue" && metadata["annotations"][THEIRS] == "blue",
            "{} {} has lost them",
            object["kind"],
            metadata["name"]
        );
    }
    until("events tell of both repairs", CHANGED_WITHIN, || {
        let events = stage.kubectl(["get", "events", "--field-selector=reason=Repaired"])?;
        for object in ["Deployment", "Service"].map(|kind| format!("{kind} {web}")) {
            ensure!(events.contains(&object), "none of {object}: {events}");
        }
        Ok(())
    })
}

pub(super) fn a_hibernated_platform_keeps_its_data_and_comes_back_to_the_same_sizes(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let _restored = Restored(stage);
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let message = ada.send(stage, &conversation, "to be kept")?;
    let media = upload(stage, &ada, b"to be kept as well")?;
    let (sizes_before, claims_before) = (sizes(stage)?, claims(stage)?);
    ensure!(sizes_before.len() == 11, "there are {} workloads", sizes_before.len());

    let began = Instant::now();
    stage.change(&json!({"spec": {"hibernated": true}}))?;
    until("nothing runs", SLEEPS_WITHIN, || {
        let platform = stage.read_platform()?;
        let phase = &platform["status"]["phase"];
        ensure!(*phase == "Hibernated", "{phase}: {}", condition(&platform, "Ready")?["message"]);
        Ok(())
    })?;
    let asleep = began.elapsed();
    let pods = stage.kubectl(["get", "pods", &selector(stage), "--output=name"])?;
    ensure!(pods.is_empty(), "there are pods: {pods}");
    let platform = stage.read_platform()?;
    for (kind, status) in
        [("Ready", "False"), ("Reconciling", "False"), ("Stalled", "False"), ("MongoDBReady", "Unknown")]
    {
        let found = condition(&platform, kind)?;
        ensure!(found["status"] == status && found["reason"] == "Hibernated", "{found}");
    }
    ensure!(claims(stage)? == claims_before, "the volumes are not as they were");

    let began = Instant::now();
    stage.change(&json!({}))?;
    stage.wait_until_usable()?;
    stage.note(format!("asleep after {}, back after {}", seconds(asleep), seconds(began.elapsed())));
    ensure!(sizes(stage)? == sizes_before, "the sizes are not as they were");
    let history = ben.log_in(stage)?.history(stage, &conversation)?;
    ensure!(history == [message], "the message is not as it was: {history:?}");
    let file = ada.log_in(stage)?.get(stage, &content(&media)?)?;
    ensure!(file.bytes == b"to be kept as well", "the file is not as it was: {}", file.status);
    Ok(())
}

/// A change that annotates the edge's Service, and nothing else.
pub(super) fn noted(words: &str) -> Value {
    json!({"spec": {"exposure": {"annotations": {NOTE: words}}}})
}

/// Waits until the operator has carried out what [`noted`] asks for; null is nothing.
pub(super) fn wait_for_note(stage: &Stage, words: &Value) -> Result<()> {
    until("the edge's Service is annotated", Duration::from_mins(1), || {
        let found = note(stage)?;
        ensure!(found == *words, "it says {found}");
        Ok(())
    })
}

fn note(stage: &Stage) -> Result<Value> {
    let service = stage.kubectl_json(["get", "service", &format!("{}-edge", stage.platform)])?;
    Ok(service["metadata"]["annotations"][NOTE].clone())
}

/// Pods of each workload, as its own object wants them.
fn sizes(stage: &Stage) -> Result<BTreeMap<String, Value>> {
    let listed = stage.kubectl_json(["get", "statefulsets,deployments", &selector(stage)])?;
    let workloads = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
    workloads.iter().map(|workload| Ok((name_of(workload)?.to_owned(), workload["spec"]["replicas"].clone()))).collect()
}

/// The volume of each claim.
fn claims(stage: &Stage) -> Result<BTreeMap<String, Value>> {
    let listed = stage.kubectl_json(["get", "persistentvolumeclaims", &selector(stage)])?;
    let claims = listed["items"].as_array().map_or(&[][..], Vec::as_slice);
    claims.iter().map(|claim| Ok((name_of(claim)?.to_owned(), claim["spec"]["volumeName"].clone()))).collect()
}

fn selector(stage: &Stage) -> String {
    format!("--selector={}", stage.selector())
}

/// A platform that is as its document says again when this is dropped, however the scenario ended.
pub(super) struct Restored<'a>(pub(super) &'a Stage);

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        // Whoever waits for the platform next sees what went wrong with that.
        let _ = self.0.change(&json!({}));
    }
}

/// Objects of these kinds that have nothing of somebody else's on them any more when this is dropped.
struct TakenOff<'a>(&'a Stage, &'static str);

impl Drop for TakenOff<'_> {
    fn drop(&mut self) {
        // They are in nobody's way.
        for verb in ["label", "annotate"] {
            let _ = self.0.kubectl([verb, self.1, &selector(self.0), &format!("{THEIRS}-")]);
        }
    }
}
