//! Objects that somebody deletes by hand.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Stage;
use super::media::{content, upload};
use super::people::two_in_conversation;
use crate::progress::seconds;

const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn a_deleted_configmap_is_back_within_ten_seconds(stage: &Stage) -> Result<()> {
    heal(stage, "ConfigMap", 1)
}

pub(super) fn a_deleted_service_is_back_within_ten_seconds(stage: &Stage) -> Result<()> {
    heal(stage, "Service", 15)
}

pub(super) fn a_deleted_deployment_is_back_within_ten_seconds(stage: &Stage) -> Result<()> {
    heal(stage, "Deployment", 7)
}

pub(super) fn a_deleted_statefulset_is_back_within_ten_seconds_and_its_data_are_kept(stage: &Stage) -> Result<()> {
    heal(stage, "StatefulSet", 4)
}

/// Deletes every object of a kind, one after the other, and looks at the data at the end.
fn heal(stage: &Stage, kind: &str, at_least: usize) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let message = ada.send(stage, &conversation, "to be kept")?;
    let media = upload(stage, &ada, b"to be kept as well")?;

    let objects: Vec<Value> = stage.owned_objects()?.into_iter().filter(|object| object["kind"] == kind).collect();
    ensure!(objects.len() >= at_least, "there are only {} objects of kind {kind}", objects.len());
    let mut slowest = Duration::ZERO;
    for object in &objects {
        let name = object["metadata"]["name"].as_str().context("an object has no name")?;
        slowest = slowest.max(delete(stage, kind, name, &object["metadata"]["uid"])?);
    }
    stage.wait_until_usable()?;
    stage.note(format!("{} deleted, the slowest back after {}", objects.len(), seconds(slowest)));

    let ada = ada.log_in(stage)?;
    let history = ben.log_in(stage)?.history(stage, &conversation)?;
    ensure!(history == [message], "the message is not as it was: {history:?}");
    let file = ada.get(stage, &content(&media)?)?;
    ensure!(file.bytes == b"to be kept as well", "the file is not as it was: {}", file.status);
    Ok(())
}

/// Deletes an object; answers how long until another one of its name is there.
pub(super) fn delete(stage: &Stage, kind: &str, name: &str, uid: &Value) -> Result<Duration> {
    let began = Instant::now();
    stage.kubectl(["delete", kind, name, "--wait=false"])?;
    stage.wait_for_another(kind, name, uid, LIMIT)?;
    Ok(began.elapsed())
}
