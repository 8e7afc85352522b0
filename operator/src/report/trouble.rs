//! What keeps a pod from being there or from being ready, in words that say what to do.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::ResourceExt as _;

use crate::observe::{NOT_STOPPING, Warning};
use crate::reason::Reason;
use crate::refusal;

/// So many ends in a row are no accident any more.
const LOOP: i32 = 3;

/// A pod that cannot become ready, or cannot be made.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The word for machines.
    pub(super) reason: Reason,
    /// Which object, what ails it, and the cure.
    pub(super) message: String,
}

impl Trouble {
    /// Whether it lasts until somebody acts.
    pub(super) fn lasts(&self) -> bool {
        matches!(
            self.reason,
            Reason::ImagePullBackOff
                | Reason::InvalidImageName
                | Reason::ErrImageNeverPull
                | Reason::CreateContainerConfigError
                | Reason::QuotaExceeded
                | Reason::AdmissionDenied
        )
    }
}

/// What is wrong with a pod, if anything beyond that it takes its time.
pub(super) fn of(pod: &Pod, warnings: &BTreeMap<String, Warning>) -> Option<Trouble> {
    if pod.metadata.deletion_timestamp.is_some() {
        return not_stopping(pod, warnings);
    }
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers
        .into_iter()
        .find_map(|container| waiting(pod, container).or_else(|| ended(pod, container)))
        .or_else(|| unschedulable(pod))
        .or_else(|| mounting(pod, warnings))
}

/// Why a Deployment has no pods, which its own status tells.
pub(super) fn of_deployment(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure =
        conditions.iter().find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    Some(not_made(failure.message.as_deref().unwrap_or_default()))
}

/// Why a `StatefulSet` has no pods, which events alone tell.
pub(super) fn of_stateful_set(set: &StatefulSet, warnings: &BTreeMap<String, Warning>) -> Option<Trouble> {
    let warning = warnings.get(&set.uid()?).filter(|warning| warning.reason == "FailedCreate")?;
    Some(not_made(&warning.note))
}

/// Why a Job has no pod, which events alone tell.
pub(super) fn of_job(job: &Job, warnings: &BTreeMap<String, Warning>) -> Option<Trouble> {
    let warning = warnings.get(&job.uid()?).filter(|warning| warning.reason == "FailedCreate")?;
    Some(not_made(&warning.note))
}

/// Whether the pods of a Deployment had their time to become ready and did not.
pub(super) fn is_overdue(deployment: &Deployment) -> bool {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| {
        condition.type_ == "Progressing"
            && condition.status == "False"
            && condition.reason.as_deref() == Some(Reason::ProgressDeadlineExceeded.as_str())
    })
}

fn not_made(why: &str) -> Trouble {
    let reason = refusal::reason(why).unwrap_or(Reason::FailedCreate);
    Trouble { message: format!("a pod cannot be made: {}", refusal::with_cure(why)), reason }
}

fn waiting(pod: &Pod, container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let image = &container.image;
    let said = || waiting.message.clone().unwrap_or_default();
    let (reason, what) = match waiting.reason.as_deref()? {
        // They take turns, and are one thing.
        "ImagePullBackOff" | "ErrImagePull" | "RegistryUnavailable" | "ImageInspectError" => {
            let secrets = match pull_secrets(pod) {
                secrets if secrets.is_empty() => String::new(),
                secrets => format!(", and the pull Secrets {}", secrets.join(", ")),
            };
            let cure = format!("check spec.images and that the image exists{secrets}");
            (Reason::ImagePullBackOff, format!("image {image} cannot be pulled: {cure}"))
        }
        "InvalidImageName" => {
            let cure = "check spec.images and that the image exists";
            (Reason::InvalidImageName, format!("image {image} cannot be pulled: {cure}"))
        }
        "ErrImageNeverPull" => {
            let cure = "load it, or change spec.images.pullPolicy";
            (Reason::ErrImageNeverPull, format!("image {image} is not on the node: {cure}"))
        }
        "CrashLoopBackOff" => return Some(crashing(pod, container)),
        "CreateContainerConfigError" => (Reason::CreateContainerConfigError, said()),
        "CreateContainerError" | "RunContainerError" => (Reason::CreateContainerError, said()),
        _ => return None,
    };
    Some(Trouble { reason, message: format!("pod {}: {reason}: {what}", pod.name_any()) })
}

/// A container that has ended too often to wait for. Between two ends it runs for a moment, and is as ill then.
fn ended(pod: &Pod, container: &ContainerStatus) -> Option<Trouble> {
    let is_up = container.ready || container.restart_count < LOOP;
    (!is_up && (ended_in(container.last_state.as_ref()) || ended_in(container.state.as_ref())))
        .then(|| crashing(pod, container))
}

fn ended_in(state: Option<&ContainerState>) -> bool {
    state.and_then(|state| state.terminated.as_ref()).is_some_and(|end| end.exit_code != 0)
}

fn crashing(pod: &Pod, container: &ContainerStatus) -> Trouble {
    let (pod, name, times) = (pod.name_any(), &container.name, container.restart_count);
    let ends = [container.last_state.as_ref(), container.state.as_ref()];
    let mut ends = ends.into_iter().flatten().filter_map(|state| state.terminated.as_ref());
    let Some(end) = ends.next() else {
        let message = format!(
            "pod {pod}: CrashLoopBackOff: it has stopped {times} times: see `kubectl logs {pod} -c {name} --previous`"
        );
        return Trouble { reason: Reason::CrashLoopBackOff, message };
    };
    if end.reason.as_deref() == Some("OOMKilled") {
        let cure = "raise resources.limits.memory of the component in the spec";
        let message = format!(
            "pod {pod}: OOMKilled: {name} wanted more memory than its limit and was killed {times} times: {cure}"
        );
        return Trouble { reason: Reason::OOMKilled, message };
    }
    let message = format!(
        "pod {pod}: CrashLoopBackOff: {name} has stopped {times} times, last with exit code {}: see `kubectl logs {pod} -c {name} --previous`",
        end.exit_code
    );
    Trouble { reason: Reason::CrashLoopBackOff, message }
}

fn unschedulable(pod: &Pod) -> Option<Trouble> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled =
        conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let (pod_name, why) = (pod.name_any(), scheduled.message.clone().unwrap_or_default());
    // Its words, `volumebinding` among the scheduler's plugins.
    let (reason, cure) = if why.contains("PersistentVolumeClaim") || why.contains("persistentvolumeclaim") {
        let claims = claims(pod).join(" ");
        let cure = format!(
            "see `kubectl describe persistentvolumeclaim {claims}`, and that its StorageClass exists and makes volumes"
        );
        (Reason::VolumeNotBound, cure)
    } else if why.contains("volume node affinity") {
        let cure =
            "its volume is bound to a node or zone that has no room, or is gone: bring that back or make room there";
        (Reason::VolumeNotBound, cure.to_owned())
    } else {
        (Reason::Unschedulable, "add nodes, or lower what the component requests".to_owned())
    };
    Some(Trouble { reason, message: format!("pod {pod_name} finds no node: {why}: {cure}") })
}

/// A pod that is there for longer than it should, in the way of the one that follows it.
fn not_stopping(pod: &Pod, warnings: &BTreeMap<String, Warning>) -> Option<Trouble> {
    let warning = warnings.get(&pod.uid()?).filter(|warning| warning.reason == NOT_STOPPING)?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    let cure = format!("see `kubectl get node {node}`; bring it back, or delete the Node if it is gone for good");
    let message = format!("pod {} {}: {cure}", pod.name_any(), warning.note);
    Some(Trouble { reason: Reason::PodNotStopping, message })
}

/// A pod whose volumes cannot be mounted; the event names the Secret, the file or the volume.
fn mounting(pod: &Pod, warnings: &BTreeMap<String, Warning>) -> Option<Trouble> {
    let warning = warnings.get(&pod.uid()?)?;
    if !matches!(warning.reason.as_str(), "FailedMount" | "FailedAttachVolume" | "FailedMapVolume") {
        return None;
    }
    let cure = "what it names must be there, and the volume be free of other nodes";
    let message = format!("pod {}: {}: {}: {cure}", pod.name_any(), warning.reason, warning.note);
    Some(Trouble { reason: Reason::VolumeNotMounted, message })
}

fn pull_secrets(pod: &Pod) -> Vec<String> {
    let secrets = pod.spec.as_ref().and_then(|spec| spec.image_pull_secrets.as_ref());
    secrets.into_iter().flatten().map(|secret| secret.name.clone()).collect()
}

fn claims(pod: &Pod) -> Vec<&str> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    let claims = volumes.into_iter().flatten().filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.map(|claim| claim.claim_name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "acme-chat-1", "uid": "u"},
            "spec": {
                "containers": [],
                "imagePullSecrets": [{"name": "mirror"}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-acme-chat-1"}}],
            },
            "status": status,
        }))
        .unwrap()
    }

    fn container(restarts: i32, state: &Value, last: &Value) -> Pod {
        pod(&json!({"containerStatuses": [{
            "name": "chat", "image": "r/chat:1", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last,
        }]}))
    }

    fn trouble(pod: &Pod) -> Trouble {
        of(pod, &BTreeMap::new()).unwrap()
    }

    fn unscheduled(why: &str) -> Trouble {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why});
        trouble(&pod(&json!({"conditions": [condition]})))
    }

    #[test]
    fn both_words_for_an_image_that_cannot_be_pulled_are_one_trouble() {
        let [first, then] = ["ErrImagePull", "ImagePullBackOff"]
            .map(|reason| trouble(&container(0, &json!({"waiting": {"reason": reason}}), &json!({}))));
        assert_eq!((first.reason, &first.message), (then.reason, &then.message));
        assert!(first.lasts() && first.message.contains("r/chat:1") && first.message.contains("pull Secrets mirror"));
    }

    #[test]
    fn a_container_that_keeps_ending_is_told_whether_it_waits_or_runs_again() {
        let end = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        let waits = trouble(&container(4, &json!({"waiting": {"reason": "CrashLoopBackOff"}}), &end));
        let runs = trouble(&container(4, &json!({"running": {}}), &end));
        assert_eq!((waits.reason, &waits.message), (runs.reason, &runs.message));
        assert!(runs.message.contains("exit code 1: see `kubectl logs acme-chat-1 -c chat --previous`"));
        assert!(of(&container(1, &json!({"running": {}}), &end), &BTreeMap::new()).is_none(), "once is no loop");
    }

    #[test]
    fn a_container_that_was_killed_for_its_memory_is_told_which_limit_to_raise() {
        let end = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let trouble = trouble(&container(2, &json!({"waiting": {"reason": "CrashLoopBackOff"}}), &end));
        assert_eq!(trouble.reason, Reason::OOMKilled);
        assert!(trouble.message.contains("raise resources.limits.memory"), "{}", trouble.message);
    }

    #[test]
    fn a_pod_without_a_node_is_told_with_the_schedulers_words_and_the_claim() {
        let full = unscheduled("0/3 nodes are available: 3 Insufficient memory.");
        assert!(full.reason == Reason::Unschedulable && full.message.contains("3 Insufficient memory"));
        let claim = unscheduled("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.");
        assert_eq!(claim.reason, Reason::VolumeNotBound);
        assert!(claim.message.contains("`kubectl describe persistentvolumeclaim data-acme-chat-1`"));
        let bound = unscheduled("0/3 nodes are available: 1 node(s) had volume node affinity conflict.");
        assert_eq!(bound.reason, Reason::VolumeNotBound);
    }

    #[test]
    fn a_secret_that_a_pod_mounts_and_is_not_there_is_named() {
        let note = r#"MountVolume.SetUp failed for volume "tls" : secret "acme-tls" not found"#;
        let warning = Warning { reason: "FailedMount".into(), note: note.into() };
        let pod = pod(&json!({"phase": "Pending"}));
        let trouble = of(&pod, &BTreeMap::from([("u".to_owned(), warning)])).unwrap();
        assert!(
            trouble.reason == Reason::VolumeNotMounted && trouble.message.contains(r#"secret "acme-tls" not found"#)
        );
        assert!(of(&pod, &BTreeMap::new()).is_none());
    }

    #[test]
    fn a_pod_whose_node_does_not_let_it_go_is_told_and_one_that_stops_is_not() {
        let mut pod = pod(&json!({}));
        pod.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        pod.spec.as_mut().unwrap().node_name = Some("worker-2".into());
        assert!(of(&pod, &BTreeMap::new()).is_none());
        let warning = Warning { reason: NOT_STOPPING.into(), note: "should have stopped".into() };
        let trouble = of(&pod, &BTreeMap::from([("u".to_owned(), warning)])).unwrap();
        assert!(trouble.reason == Reason::PodNotStopping && trouble.message.contains("`kubectl get node worker-2`"));
    }

    #[test]
    fn pods_that_a_quota_forbids_are_told_of_a_deployment_and_of_a_stateful_set() {
        let why = r#"pods "acme-chat-1" is forbidden: exceeded quota: small, requested: pods=1"#;
        let condition = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": why});
        let deployment: Deployment =
            serde_json::from_value(json!({"metadata": {}, "status": {"conditions": [condition]}})).unwrap();
        let set: StatefulSet = serde_json::from_value(json!({"metadata": {"uid": "set"}})).unwrap();
        let warning = |reason: &str| Warning { reason: reason.into(), note: why.into() };
        let told = |reason: &str| of_stateful_set(&set, &BTreeMap::from([("set".to_owned(), warning(reason))]));
        for trouble in [of_deployment(&deployment).unwrap(), told("FailedCreate").unwrap()] {
            assert!(trouble.reason == Reason::QuotaExceeded && trouble.lasts(), "{trouble:?}");
            assert!(
                trouble.message.contains("exceeded quota: small")
                    && trouble.message.contains("raise the ResourceQuota")
            );
        }
        assert!(told("FailedUpdate").is_none());
    }
}
