//! Which pod is next: a pure decision over the pods as the cluster has them and the members as the set sees them.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::build::workload::ordinal;
use crate::observe::{has_condition, is_ready};
use crate::provisioner::{Member, Role};

/// Label of a pod: the revision of the `StatefulSet` that it was made of (`appsv1.ControllerRevisionHashLabelKey`).
const REVISION: &str = "controller-revision-hash";

/// What comes next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Nothing: every pod is of the newest form.
    Nothing,
    /// What must come first, for people.
    Wait(String),
    /// This pod is deleted, and comes back in the newest form.
    Delete(String),
    /// The member of this pod is primary, and hands over first.
    StepDown(String),
}

/// Whether any pod is of an older form than its set, or may be.
pub(super) fn is_due(set: &StatefulSet, pods: &[&Pod]) -> bool {
    !is_settled(set) || pods.iter().any(|pod| is_outdated(pod, set))
}

/// The next step on the way to pods that are all of the newest form.
#[must_use]
pub fn next(set: &StatefulSet, pods: &[&Pod], members: &[Member]) -> Step {
    if !is_settled(set) {
        return Step::Wait("Kubernetes to take note of it".to_owned());
    }
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    // What is beyond goes anyway, and is no member any more.
    let mut pods: Vec<&Pod> = pods.iter().copied().filter(|pod| place(pod) < replicas).collect();
    pods.sort_by_key(|pod| place(pod));
    let outdated = |pod: &&&Pod| is_outdated(pod, set);
    if !pods.iter().any(|pod| outdated(&pod)) {
        return Step::Nothing;
    }
    // It serves nobody, and what has changed may be its cure.
    if let Some(pod) = pods.iter().filter(outdated).find(|pod| is_broken(pod) && !is_going(pod)) {
        return Step::Delete(pod.name_any());
    }
    if let Some(pod) = pods.iter().find(|pod| is_going(pod)) {
        return Step::Wait(format!("{} to stop", pod.name_any()));
    }
    if let ([pod], 1) = (pods.as_slice(), replicas) {
        // Nobody could stand in for it.
        return Step::Delete(pod.name_any());
    }
    if let Some(missing) = (0..replicas).find(|ordinal| pods.iter().all(|pod| place(pod) != *ordinal)) {
        return Step::Wait(format!("{}-{missing} to be made", set.name_any()));
    }
    let member = |pod: &Pod| members.iter().find(|member| member.pod == pod.name_any());
    let is_well =
        |pod: &Pod| is_ready(pod) && member(pod).is_some_and(|member| member.role != Role::Other && member.caught_up);
    let unwell: Vec<&Pod> = pods.iter().copied().filter(|pod| !is_well(pod)).collect();
    let candidate = match unwell.as_slice() {
        // The last first, as Kubernetes would; the primary last of all.
        [] => {
            let is_primary = |pod: &&&Pod| member(pod).is_some_and(|member| member.role == Role::Primary);
            let mut candidates = pods.iter().filter(outdated);
            candidates.clone().rfind(|pod| !is_primary(pod)).or_else(|| candidates.next()).copied()
        }
        // All others are well: it may go, whatever ails it.
        [pod] if is_outdated(pod, set) => Some(*pod),
        _ => None,
    };
    let Some(candidate) = candidate else {
        let behind = unwell.iter().find(|pod| !is_outdated(pod, set)).or(unwell.first());
        return Step::Wait(behind.map_or_else(String::new, |pod| waits(pod, member(pod))));
    };
    match member(candidate) {
        Some(member) if member.role == Role::Primary => Step::StepDown(candidate.name_any()),
        _ => Step::Delete(candidate.name_any()),
    }
}

fn waits(pod: &Pod, member: Option<&Member>) -> String {
    let name = pod.name_any();
    match member {
        _ if !is_ready(pod) => format!("{name} to be ready"),
        None => format!("the word of the set about {name}"),
        Some(member) if member.role == Role::Other => format!("{name} to serve as a member"),
        Some(_) => format!("{name} to catch up"),
    }
}

/// Whether the set's status speaks of its newest form.
fn is_settled(set: &StatefulSet) -> bool {
    set.status
        .as_ref()
        .is_some_and(|status| status.update_revision.is_some() && status.observed_generation >= set.metadata.generation)
}

fn is_outdated(pod: &Pod, set: &StatefulSet) -> bool {
    let newest = set.status.as_ref().and_then(|status| status.update_revision.as_ref());
    pod.labels().get(REVISION) != newest
}

fn place(pod: &Pod) -> i32 {
    ordinal(&pod.name_any()).unwrap_or(i32::MAX)
}

fn is_going(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether a pod cannot become ready by itself.
fn is_broken(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let mut waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
    waiting.any(|reason| !matches!(reason, "ContainerCreating" | "PodInitializing"))
        || has_condition(pod, "PodScheduled", "False")
        || status.phase.as_deref() == Some("Failed")
}
