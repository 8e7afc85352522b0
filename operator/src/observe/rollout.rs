//! How far the pods of a component are on their way to what their object says.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;

/// Pods of a component, as the object that makes them tells.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// How many there should be.
    pub desired: i32,
    /// How many it takes to work: all, or the fewest where an autoscaler adds some when there is much to do.
    pub needed: i32,
    /// How many are ready.
    pub ready: i32,
    /// How many take requests, and have done so for as long as it takes to count.
    pub available: i32,
    /// Every pod is of the newest revision, and none of an older one is left.
    pub complete: bool,
    /// The image of their first container.
    pub image: Option<String>,
}

impl Rollout {
    /// Of a server that holds data.
    #[must_use]
    pub fn of_stateful_set(set: &StatefulSet) -> Self {
        let spec = set.spec.as_ref();
        let desired = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let image = spec.and_then(|spec| image(&spec.template));
        let Some(status) = &set.status else { return Self { desired, needed: desired, image, ..Self::default() } };
        Self {
            desired,
            needed: desired,
            ready: status.ready_replicas.unwrap_or_default(),
            available: status.available_replicas.or(status.ready_replicas).unwrap_or_default(),
            complete: status.observed_generation >= set.metadata.generation
                && status.updated_replicas.unwrap_or_default() >= desired
                && status.replicas == desired,
            image,
        }
    }

    /// Of a component without data of its own, of which an autoscaler keeps at least `fewest` pods.
    #[must_use]
    pub fn of_deployment(deployment: &Deployment, fewest: Option<i32>) -> Self {
        let spec = deployment.spec.as_ref();
        let desired = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let needed = fewest.map_or(desired, |fewest| fewest.min(desired));
        let image = spec.and_then(|spec| image(&spec.template));
        let Some(status) = &deployment.status else { return Self { desired, needed, image, ..Self::default() } };
        let (there, updated) = (status.replicas.unwrap_or_default(), status.updated_replicas.unwrap_or_default());
        Self {
            desired,
            needed,
            ready: status.ready_replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
            complete: status.observed_generation >= deployment.metadata.generation
                && updated >= needed
                // An autoscaler changes how many there are without any of them being old.
                && there == if fewest.is_some() { updated } else { desired },
            image,
        }
    }

    /// Whether all of it is of the newest revision and works.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.complete && self.available >= self.needed
    }
}

fn image(template: &PodTemplateSpec) -> Option<String> {
    template.spec.as_ref()?.containers.first()?.image.clone()
}
