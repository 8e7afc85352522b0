//! The rows of the status: how many pods of each component are ready, and what the others wait for.

use kube::ResourceExt as _;

use super::trouble::{self, Trouble};
use super::{Found, entrance, upgrade};
use crate::api::ComponentStatus;
use crate::build::{Component, autoscaler, images};
use crate::observe::Rollout;
use crate::proven::Standing;
use crate::reason::Reason;
use crate::validate::Hibernation;

/// A component's row.
pub(super) struct Row {
    /// What people and machines read.
    pub(super) status: ComponentStatus,
    /// Whether all of it is there and works. It may have something to say all the same.
    pub(super) is_ready: bool,
}

/// A row for each component, in their order.
pub(super) fn rows(found: &Found<'_>) -> Vec<Row> {
    let row = |component| {
        let mut status = row(found, component);
        let is_ready = status.desired > 0 && status.message.is_none();
        if status.message.is_none() {
            status.message = remark(found, component, &status);
        }
        Row { status, is_ready }
    };
    Component::ALL.into_iter().map(row).collect()
}

/// What is not as it should be, and keeps nothing from working: an autoscaler's pods that are still to come, or what it lacks.
fn remark(found: &Found<'_>, component: Component, status: &ComponentStatus) -> Option<String> {
    if status.ready < status.desired {
        let trouble = trouble(found, component);
        let waits = || format!("{} of {} pods ready", status.ready, status.desired);
        return Some(trouble.map_or_else(waits, |trouble| trouble.message));
    }
    if let Some(remark) = upgrade::remark(found, component) {
        return Some(remark);
    }
    let name = found.platform.names.object(component.name());
    let autoscaler = found.applied.autoscalers.iter().find(|autoscaler| autoscaler.name_any() == name)?;
    let complaint = autoscaler.complaint()?;
    Some(format!(
        "is not scaled by its autoscaler, which says: {complaint}: see that `kubectl top pods` tells of its pods, for which a cluster needs metrics-server"
    ))
}

/// How many pods a component without data of its own has now, ready or not.
pub(super) fn pods_there(found: &Found<'_>, component: Component) -> i32 {
    let name = found.platform.names.object(component.name());
    let deployment = found.applied.deployments.iter().find(|deployment| deployment.name_any() == name);
    deployment.and_then(|deployment| deployment.status.as_ref()?.replicas).unwrap_or_default()
}

fn row(found: &Found<'_>, component: Component) -> ComponentStatus {
    let sleeps = !found.platform.hibernation.runs(component);
    if found.platform.is_external(component) {
        if found.platform.hibernation != Hibernation::Awake {
            // Nobody uses it, and nobody asks.
            return ComponentStatus { name: component.name().into(), ..ComponentStatus::default() };
        }
        return external(found, component);
    }
    let name = found.platform.names.object(component.name());
    let set = found.applied.stateful_sets.iter().find(|set| set.name_any() == name).map(Rollout::of_stateful_set);
    let deployment = || {
        let deployment = found.applied.deployments.iter().find(|deployment| deployment.name_any() == name)?;
        Some(Rollout::of_deployment(deployment, autoscaler::fewest(found.platform, deployment)))
    };
    let Some(rollout) = set.or_else(deployment) else {
        return ComponentStatus {
            name: component.name().into(),
            desired: i32::from(!sleeps),
            message: (!sleeps).then(|| "waits for the addresses of gateway and web".into()),
            ..ComponentStatus::default()
        };
    };
    ComponentStatus {
        name: component.name().into(),
        ready: rollout.ready.min(rollout.desired),
        desired: rollout.desired,
        version: rollout.image.as_deref().and_then(images::version).map(ToOwned::to_owned),
        state: state(found, component),
        message: if sleeps { left(found, component) } else { message(found, component, &rollout) },
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

/// The pods of a component that is to have none.
fn left(found: &Found<'_>, component: Component) -> Option<String> {
    let pods: Vec<String> = found.observed.pods_of(component).map(kube::ResourceExt::name_any).collect();
    let trouble = trouble(found, component).filter(|trouble| trouble.reason == Reason::PodNotStopping);
    (!pods.is_empty()).then(|| trouble.map_or_else(|| format!("stops: {}", pods.join(", ")), |trouble| trouble.message))
}

/// What keeps pods of a component from being there or from being ready.
pub(super) fn trouble(found: &Found<'_>, component: Component) -> Option<Trouble> {
    let warnings = &found.observed.warnings;
    let name = found.platform.names.object(component.name());
    let deployment = || found.applied.deployments.iter().find(|deployment| deployment.name_any() == name);
    let set = || found.applied.stateful_sets.iter().find(|set| set.name_any() == name);
    let mut pods: Vec<Trouble> =
        found.observed.pods_of(component).filter_map(|pod| trouble::of(pod, warnings)).collect();
    // What waits for somebody before what may pass.
    pods.sort_by_key(|trouble| !trouble.lasts());
    let pods = pods.into_iter().next();
    pods.or_else(|| trouble::of_deployment(deployment()?)).or_else(|| trouble::of_stateful_set(set()?, warnings))
}

/// What is in the way, if anything: the pods first, for servers cannot agree before they run.
fn message(found: &Found<'_>, component: Component, rollout: &Rollout) -> Option<String> {
    let trouble = trouble(found, component);
    if rollout.ready < rollout.needed {
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
