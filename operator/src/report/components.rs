//! The rows of the status: how many pods of each component are ready, and what the others wait for.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::ResourceExt as _;

use super::{Found, entrance, trouble};
use crate::api::ComponentStatus;
use crate::build::{Component, images};
use crate::proven::Standing;

impl ComponentStatus {
    /// Whether all of it is there and works.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.desired > 0 && self.ready >= self.desired && self.message.is_none()
    }
}

/// A row for each component, in their order.
pub(super) fn rows(found: &Found<'_>) -> Vec<ComponentStatus> {
    Component::ALL.into_iter().map(|component| row(found, component)).collect()
}

/// Pods of a component, as the object that makes them tells.
struct Rollout {
    desired: i32,
    ready: i32,
    /// Every pod is of the newest revision, and none of an older one is left.
    complete: bool,
    image: Option<String>,
}

fn row(found: &Found<'_>, component: Component) -> ComponentStatus {
    if found.platform.is_external(component) {
        return external(found, component);
    }
    let name = found.platform.names.object(component.name());
    let set = found.applied.stateful_sets.iter().find(|set| set.name_any() == name).map(of_stateful_set);
    let deployment =
        || found.applied.deployments.iter().find(|deployment| deployment.name_any() == name).map(of_deployment);
    let Some(rollout) = set.or_else(deployment) else {
        return ComponentStatus {
            name: component.name().into(),
            desired: 1,
            message: Some("waits for the addresses of gateway and web".into()),
            ..ComponentStatus::default()
        };
    };
    ComponentStatus {
        name: component.name().into(),
        ready: rollout.ready.min(rollout.desired),
        desired: rollout.desired,
        version: rollout.image.as_deref().and_then(images::version).map(ToOwned::to_owned),
        state: state(found, component),
        message: message(found, component, &rollout),
    }
}

/// A server that somebody else runs: one that answers, or does not.
fn external(found: &Found<'_>, component: Component) -> ComponentStatus {
    let (ready, message) = match found.provisioned.of(component) {
        Some(Standing::Agrees(agreement)) if agreement.ready => (1, None),
        Some(Standing::Agrees(agreement)) => (0, Some(agreement.message.clone())),
        Some(Standing::Disagrees(refusal)) => (0, Some(refusal.message.clone())),
        Some(Standing::Waiting) | None => (0, Some("has not been asked yet".into())),
    };
    ComponentStatus {
        name: component.name().into(),
        ready,
        desired: 1,
        version: None,
        state: state(found, component),
        message,
    }
}

/// What a server says of itself.
fn state(found: &Found<'_>, component: Component) -> Option<String> {
    match found.provisioned.of(component)? {
        Standing::Agrees(agreement) if !agreement.message.is_empty() => Some(agreement.message.clone()),
        Standing::Agrees(_) | Standing::Waiting | Standing::Disagrees(_) => None,
    }
}

/// What is in the way, if anything: the pods first, for servers cannot agree before they run.
fn message(found: &Found<'_>, component: Component, rollout: &Rollout) -> Option<String> {
    let trouble = found.observed.pods_of(component).find_map(trouble::of);
    if rollout.ready < rollout.desired {
        let waits = || format!("{} of {} pods ready", rollout.ready, rollout.desired);
        let pods = trouble.map_or_else(waits, |trouble| trouble.message);
        // The others may serve all the same: what the server says tells.
        return Some(state(found, component).map_or_else(|| pods.clone(), |state| format!("{pods}; {state}")));
    }
    match found.provisioned.of(component) {
        Some(Standing::Waiting) => return Some("waits for a pod that is ready".into()),
        Some(Standing::Disagrees(refusal)) => return Some(refusal.message.clone()),
        Some(Standing::Agrees(agreement)) if !agreement.ready => return Some(agreement.message.clone()),
        Some(Standing::Agrees(_)) | None => {}
    }
    if component == Component::MongoDb
        && let Some(wait) = &found.roll
    {
        return Some(wait.clone());
    }
    if component == Component::Edge
        && let Some((_, trouble)) = entrance::trouble(found)
    {
        return Some(trouble);
    }
    (!rollout.complete).then(|| trouble.map_or_else(|| "rolls out".into(), |trouble| trouble.message))
}

fn of_stateful_set(set: &StatefulSet) -> Rollout {
    let desired = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let image = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let image = image.and_then(|pod| pod.containers.first()).and_then(|container| container.image.clone());
    let Some(status) = &set.status else { return Rollout { desired, ready: 0, complete: false, image } };
    let complete = status.observed_generation >= set.metadata.generation
        && status.updated_replicas.unwrap_or_default() >= desired
        && status.replicas == desired;
    Rollout { desired, ready: status.ready_replicas.unwrap_or_default(), complete, image }
}

fn of_deployment(deployment: &Deployment) -> Rollout {
    let desired = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let image = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let image = image.and_then(|pod| pod.containers.first()).and_then(|container| container.image.clone());
    let Some(status) = &deployment.status else { return Rollout { desired, ready: 0, complete: false, image } };
    let complete = status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas.unwrap_or_default() >= desired
        && status.replicas.unwrap_or_default() == desired;
    Rollout { desired, ready: status.ready_replicas.unwrap_or_default(), complete, image }
}
