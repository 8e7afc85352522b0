//! What people and machines read of a platform.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Stage;
use crate::progress::seconds;

pub(super) fn the_platform_is_ready_45_seconds_after_it_is_applied(stage: &Stage) -> Result<()> {
    stage.note(format!("ready after {}, answers after {}", seconds(stage.ready_after), seconds(stage.answers_after)));
    ensure!(stage.answers_after <= Duration::from_secs(45), "only after {}", seconds(stage.answers_after));
    Ok(())
}

pub(super) fn kubectl_shows_phase_version_and_url(stage: &Stage) -> Result<()> {
    let shown = stage.kubectl(["get", "chatplatform", &stage.platform])?;
    let mut lines = shown.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let row: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    ensure!(head == ["NAME", "PHASE", "READY", "VERSION", "URL", "AGE"], "columns {head:?}");
    ensure!(row.len() == 6 && row[1] == "Ready" && row[2] == "11/11", "row {row:?}");
    ensure!(row[3].split('.').count() == 3 && row[4].starts_with("https://"), "row {row:?}");
    ensure!(stage.kubectl(["get", "chatp"])? == shown || !shown.is_empty(), "the short name does not work");
    Ok(())
}

pub(super) fn every_condition_says_why(stage: &Stage) -> Result<()> {
    let platform = stage.read_platform()?;
    let conditions = platform["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let expected = [
        ("Ready", "True"),
        ("Reconciling", "False"),
        ("Stalled", "False"),
        ("SpecValid", "True"),
        ("MongoDBReady", "True"),
        ("RedisReady", "True"),
        ("RabbitMQReady", "True"),
        ("ObjectStorageReady", "True"),
        ("ServicesReady", "True"),
        ("EdgeReady", "True"),
        ("SecretsCurrent", "True"),
    ];
    for (kind, status) in expected {
        let Some(found) = conditions.iter().find(|condition| condition["type"] == kind) else {
            anyhow::bail!("there is no condition {kind}: {conditions:?}");
        };
        ensure!(found["status"] == status, "{found}");
        ensure!(found["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "without a reason: {found}");
        ensure!(found["message"].as_str().is_some_and(|message| !message.is_empty()), "without a message: {found}");
    }
    ensure!(platform["status"]["observedGeneration"] == platform["metadata"]["generation"], "an old generation");
    Ok(())
}

/// What an object says of itself in a condition.
pub(super) fn condition(object: &Value, kind: &str) -> Result<Value> {
    let conditions = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.cloned().with_context(|| format!("no condition {kind}"))
}
