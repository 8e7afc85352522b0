//! How many pods a service has, who says so, and what the document adds to them.

mod connections;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::faults::{name_of, pods_of};
use super::wait::until;
use super::watched::Watched;

pub(super) use connections::chat_is_scaled_by_its_connections_where_an_adapter_tells_of_them;

/// How long an autoscaler may take to look twice: once every 15 seconds, at metrics that are as old.
const LIMIT: Duration = Duration::from_secs(90);
/// Who the operator writes as.
const MANAGER: &str = "chatplatform-operator";
/// What `kubectl rollout restart` writes.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

pub(super) fn an_autoscaler_switched_on_and_off_never_leaves_fewer_pods_than_wanted(stage: &Stage) -> Result<()> {
    restoring(stage, || switch_on_and_off(stage))
}

fn switch_on_and_off(stage: &Stage) -> Result<()> {
    stage.change(&json!({"spec": {"gateway": {"replicas": 2}}}))?;
    stage.wait_until_ready()?;
    let deployment = format!("{}-gateway", stage.platform);
    let watched = Watched::begin(stage, &["deployment", &deployment], "{.spec.replicas}")?;

    // Whatever an idle pod uses is more than that, so that it goes up.
    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 3, "targetCPUUtilization": 1});
    stage.change(&json!({"spec": {"gateway": {"autoscaling": autoscaling}}}))?;
    until("the operator no longer says how many pods there are", LIMIT, || {
        let found = stage.kubectl_json(["get", "deployment", &deployment, "--show-managed-fields"])?;
        ensure!(!says_replicas(&found, MANAGER), "it says {}", found["spec"]["replicas"]);
        ensure!(stage.kubectl(["get", "horizontalpodautoscaler", &deployment]).is_ok(), "there is no autoscaler");
        Ok(())
    })?;
    until("the autoscaler adds a pod", LIMIT, || {
        ensure!(watched.last()? == "3", "there are {}", watched.last()?);
        Ok(())
    })?;
    // A change of the pods is applied while it is the autoscaler that says how many there are.
    let labelled = json!({"autoscaling": autoscaling, "podTemplate": {"labels": {"team": "blue"}}});
    stage.change(&json!({"spec": {"gateway": labelled}}))?;
    stage.wait_until_ready()?;
    until("the status shows what the autoscaler has decided", LIMIT, || {
        let platform = stage.read_platform()?;
        let row = row_of(&platform, "gateway")?;
        ensure!(row["desired"] == 3 && row["ready"] == 3 && row["message"].is_null(), "it says {row}");
        Ok(())
    })?;
    stage.kubectl(["get", "poddisruptionbudget", &deployment]).context("it has no disruption budget")?;

    stage.change(&json!({"spec": {"gateway": {"replicas": 2}}}))?;
    until("the operator says again how many pods there are", LIMIT, || {
        let found = stage.kubectl_json(["get", "deployment", &deployment, "--show-managed-fields"])?;
        ensure!(
            says_replicas(&found, MANAGER) && found["spec"]["replicas"] == 2,
            "there are {}",
            found["spec"]["replicas"]
        );
        let left = stage.kubectl(["get", "horizontalpodautoscaler", &deployment, "--ignore-not-found"])?;
        ensure!(left.is_empty(), "the autoscaler is still there");
        Ok(())
    })?;
    stage.wait_until_ready()?;
    until("the watch has heard of it", LIMIT, || {
        ensure!(watched.last()? == "2", "it has heard of {}", watched.last()?);
        Ok(())
    })?;
    let mut heard = watched.end()?;
    ensure!(heard.iter().all(|replicas| matches!(replicas.as_str(), "2" | "3")), "there were {heard:?}");
    heard.dedup();
    stage.note(format!("pods: {}", heard.join(", ")));
    Ok(())
}

pub(super) fn what_others_write_on_pods_and_what_the_document_adds_to_them_are_both_kept(stage: &Stage) -> Result<()> {
    restoring(stage, || add_to_pods(stage))?;
    let found = stage.kubectl_json(["get", "deployment", &format!("{}-web", stage.platform)])?;
    let metadata = &found["spec"]["template"]["metadata"];
    ensure!(metadata["labels"]["team"].is_null(), "the label is still there");
    ensure!(metadata["annotations"][RESTARTED].is_string(), "somebody else's annotation is gone");
    Ok(())
}

fn add_to_pods(stage: &Stage) -> Result<()> {
    let deployment = format!("{}-web", stage.platform);
    stage.kubectl(["rollout", "restart", "deployment", &deployment])?;
    let template = json!({
        "labels": {"team": "blue"},
        "annotations": {"example.com/note": "kept"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "example.com/busy", "operator": "Exists", "effect": "NoSchedule"}],
        "topologySpreadConstraints":
            [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}],
    });
    stage.change(&json!({"spec": {"web": {"podTemplate": template}}}))?;
    stage.wait_until_ready()?;
    for pod in staying(stage)? {
        let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
        ensure!(metadata["labels"]["team"] == "blue", "it has the labels {}", metadata["labels"]);
        let annotations = &metadata["annotations"];
        ensure!(annotations["example.com/note"] == "kept", "it has the annotations {annotations}");
        ensure!(annotations[RESTARTED].is_string(), "somebody else's annotation is gone: {annotations}");
        ensure!(spec["nodeSelector"] == template["nodeSelector"], "it selects {}", spec["nodeSelector"]);
        let tolerations = spec["tolerations"].as_array().map_or(&[][..], Vec::as_slice);
        ensure!(tolerations.contains(&template["tolerations"][0]), "it tolerates {tolerations:?}");
        let spread = &spec["topologySpreadConstraints"];
        ensure!(
            spread[0]["topologyKey"] == "kubernetes.io/hostname" && spread[1].is_null(),
            "it is spread by {spread}"
        );
        let counted = &spread[0]["labelSelector"]["matchLabels"];
        ensure!(counted["app.kubernetes.io/name"] == "web", "it counts {counted}");
    }
    Ok(())
}

pub(super) fn affinity_that_no_pod_can_have_is_told_of_and_nothing_restarts(stage: &Stage) -> Result<()> {
    let before = names(stage)?;
    // The shape is right, which is all that the schema sees.
    let rule = json!({"key": "kubernetes.io/os", "operator": "Within", "values": ["linux"]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [rule]}],
    }}});
    restoring(stage, || {
        stage.change(&json!({"spec": {"web": {"podTemplate": {"affinity": affinity}}}}))?;
        until("the status tells which field is wrong", LIMIT, || {
            let platform = stage.read_platform()?;
            let conditions = platform["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
            let stalled = conditions.iter().find(|condition| condition["type"] == "Stalled");
            let stalled = stalled.context("there is no condition Stalled")?;
            let message = stalled["message"].as_str().unwrap_or_default();
            ensure!(message.contains("affinity") && message.contains("Within"), "it says {message:?}");
            ensure!(stalled["status"] == "True" && stalled["reason"] == "ApplyFailed", "it says {stalled}");
            Ok(())
        })
    })?;
    ensure!(names(stage)? == before, "pods were replaced");
    Ok(())
}

/// Takes back what something changes in the document, whatever comes of it.
pub(super) fn restoring(stage: &Stage, change: impl FnOnce() -> Result<()>) -> Result<()> {
    let outcome = change();
    let restored = stage.change(&json!({})).and_then(|()| stage.wait_until_usable());
    outcome.and(restored.map(drop))
}

/// Whether a field manager says how many pods there are.
fn says_replicas(deployment: &Value, manager: &str) -> bool {
    let entries = deployment["metadata"]["managedFields"].as_array().map_or(&[][..], Vec::as_slice);
    let mut of_manager = entries.iter().filter(|entry| entry["manager"] == manager);
    of_manager.any(|entry| !entry["fieldsV1"]["f:spec"]["f:replicas"].is_null())
}

fn row_of<'a>(platform: &'a Value, component: &str) -> Result<&'a Value> {
    let rows = platform["status"]["components"].as_array().context("the status has no components")?;
    rows.iter().find(|row| row["name"] == component).with_context(|| format!("the status has no {component}"))
}

/// The pods of the web client that are not on their way out.
fn staying(stage: &Stage) -> Result<Vec<Value>> {
    let mut pods = pods_of(stage, "web")?;
    pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    ensure!(!pods.is_empty(), "web has no pods that stay");
    Ok(pods)
}

fn names(stage: &Stage) -> Result<Vec<String>> {
    staying(stage)?.iter().map(|pod| Ok(name_of(pod)?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_says_the_fields_that_are_recorded_as_its_own() {
        let deployment = json!({"metadata": {"managedFields": [
            {"manager": "a", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "b", "fieldsV1": {"f:spec": {"f:template": {}}}},
        ]}});
        assert!(says_replicas(&deployment, "a"));
        assert!(!says_replicas(&deployment, "b") && !says_replicas(&deployment, "c"));
    }
}
