//! A platform that nobody uses costs nothing.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Stage;
use super::process::{Megabytes, Process};

const REST: Duration = Duration::from_mins(1);
/// The goal of 12 MB, read as mebibytes of `VmRSS` (proc(5)).
const LIMIT_BYTES: u64 = 12 * 1024 * 1024;

pub(super) fn at_rest_nothing_changes_for_a_minute(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    // These two minutes are what is measured: nothing is awaited.
    sleep(REST);
    let before = versions(stage)?;
    sleep(REST);
    let after = versions(stage)?;
    let changed: Vec<_> = before.iter().filter(|(name, version)| after.get(*name) != Some(version)).collect();
    ensure!(changed.is_empty(), "changed: {changed:?}");
    ensure!(before.len() == after.len(), "{} objects became {}", before.len(), after.len());
    ensure!(before.len() > 30, "only {} objects were looked at", before.len());
    stage.note(format!("{} objects", before.len()));
    Ok(())
}

pub(super) fn an_idle_operator_takes_at_most_12_mebibytes(stage: &Stage) -> Result<()> {
    let pods = stage.cluster.kubectl_json([
        "get",
        "pods",
        "--all-namespaces",
        "--selector=app.kubernetes.io/name=chatplatform-operator",
        "--field-selector=status.phase=Running",
    ])?;
    let pod = pods["items"].as_array().and_then(|pods| pods.first()).context("there is no pod of the operator")?;
    let kibibytes = Process::of(&stage.cluster, pod, "operator")?.resident_kibibytes()?;
    let bytes = kibibytes * 1024;
    stage.note(Megabytes(kibibytes).to_string());
    if bytes > LIMIT_BYTES {
        bail!("it takes {bytes} bytes");
    }
    Ok(())
}

/// The version of the platform and of every object that the operator made for it.
fn versions(stage: &Stage) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::from([(
        format!("chatplatform/{}", stage.platform),
        stage.read_platform()?["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned(),
    )]);
    for object in stage.owned_objects()? {
        let metadata = &object["metadata"];
        let name = format!(
            "{}/{}",
            object["kind"].as_str().unwrap_or_default(),
            metadata["name"].as_str().unwrap_or_default()
        );
        found.insert(name, metadata["resourceVersion"].as_str().unwrap_or_default().to_owned());
    }
    Ok(found)
}
