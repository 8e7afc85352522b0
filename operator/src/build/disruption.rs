//! Disruption budgets: when nodes are emptied, a component of several pods loses one at a time.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::component::Component;
use super::{autoscaler, labels};
use crate::validate::Platform;

/// A budget for each component with more than one pod, or with an autoscaler that keeps more than one. One pod alone has none: a budget
/// for it would keep its node from ever being emptied.
#[must_use]
pub fn budgets(
    platform: &Platform,
    stateful_sets: &[StatefulSet],
    deployments: &[Deployment],
) -> Vec<PodDisruptionBudget> {
    let sets = stateful_sets.iter().map(|set| (&set.metadata, set.spec.as_ref().and_then(|spec| spec.replicas)));
    let deployments = deployments.iter().map(|deployment| {
        let said = deployment.spec.as_ref().and_then(|spec| spec.replicas);
        (&deployment.metadata, said.or_else(|| autoscaler::fewest(platform, deployment)))
    });
    sets.chain(deployments)
        .filter(|(_, replicas)| replicas.is_some_and(|replicas| replicas > 1))
        .filter_map(|(metadata, _)| {
            let component = Component::from_name(metadata.labels.as_ref()?.get(labels::NAME)?)?;
            Some(PodDisruptionBudget {
                metadata: labels::metadata(platform, component),
                spec: Some(PodDisruptionBudgetSpec {
                    max_unavailable: Some(IntOrString::Int(1)),
                    selector: Some(labels::selector(platform, component)),
                    // A pod that is not ready serves nobody: it may always go, so that a broken one keeps no node from being emptied.
                    unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
                    ..PodDisruptionBudgetSpec::default()
                }),
                status: None,
            })
        })
        .collect()
}
