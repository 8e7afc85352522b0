//! What keeps a pod from being ready, in words that say what to do.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

use crate::reason::Reason;

/// A pod that cannot become ready.
pub(super) struct Trouble {
    /// Kubernetes' own word for it.
    pub(super) reason: String,
    /// The pod, the reason and the cure.
    pub(super) message: String,
}

impl Trouble {
    /// The reason, if it lasts until somebody acts.
    pub(super) fn lasting(&self) -> Option<Reason> {
        let reason = Reason::from_word(&self.reason)?;
        let lasts = matches!(
            reason,
            Reason::ImagePullBackOff
                | Reason::InvalidImageName
                | Reason::ErrImageNeverPull
                | Reason::CreateContainerConfigError
        );
        lasts.then_some(reason)
    }
}

/// What is wrong with a pod, if anything beyond that it takes its time.
pub(super) fn of(pod: &Pod) -> Option<Trouble> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers.into_iter().find_map(|container| waiting(pod, container)).or_else(|| unschedulable(pod))
}

fn waiting(pod: &Pod, container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    let cure = match reason.as_str() {
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" => {
            format!("image {} cannot be pulled: check spec.images and that the image exists", container.image)
        }
        "ErrImageNeverPull" => {
            format!("image {} is not on the node: load it, or change spec.images.pullPolicy", container.image)
        }
        "CrashLoopBackOff" => {
            format!(
                "it has stopped {} times: see `kubectl logs {} -c {} --previous`",
                container.restart_count,
                pod.name_any(),
                container.name
            )
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            waiting.message.clone().unwrap_or_default()
        }
        _ => return None,
    };
    Some(Trouble { message: format!("pod {}: {reason}: {cure}", pod.name_any()), reason })
}

fn unschedulable(pod: &Pod) -> Option<Trouble> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled =
        conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let why = scheduled.message.clone().unwrap_or_default();
    let message =
        format!("pod {} finds no node: {why}: add nodes, or lower what the component requests", pod.name_any());
    Some(Trouble { reason: scheduled.reason.clone().unwrap_or_else(|| "Unschedulable".into()), message })
}
