//! Pods, and the objects that make them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment, StatefulSet,
    StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    Affinity, Container, LocalObjectReference, PodAffinityTerm, PodAntiAffinity, PodSpec, PodTemplateSpec,
    TopologySpreadConstraint, Volume, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;
use sha2::{Digest, Sha256};

use super::component::Component;
use super::{labels, overrides, security, volume};
use crate::api::DeletionPolicy;
use crate::validate::{Platform, Storage, Workload};

/// Annotation of a pod template: a digest of the files that its servers read at start only. A change of it rolls the pods.
pub const CONFIG_DIGEST: &str = "chatplatform.dev/config-digest";

/// Annotation of a `StatefulSet` that is scaled to zero: the replicas it has otherwise. The servers that sleep count as there.
pub const AWAKE: &str = "chatplatform.dev/replicas-when-awake";

/// What is special about the pods of a component.
#[derive(Clone, Debug)]
pub struct Pods {
    /// The user they run as.
    pub user: i64,
    /// What runs before.
    pub init_containers: Vec<Container>,
    /// What runs.
    pub container: Container,
    /// What runs beside it.
    pub sidecars: Vec<Container>,
    /// What is mounted.
    pub volumes: Vec<Volume>,
    /// Contents of the files that are read at start only.
    pub read_at_start: Vec<String>,
    /// How long they may take to stop, in seconds.
    pub grace_seconds: i64,
    /// Who replaces them when they change.
    pub rolling: Rolling,
}

/// Who replaces the pods of a `StatefulSet` when they change.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Rolling {
    /// Kubernetes, the highest ordinal first, each once the one before is ready.
    #[default]
    ByItself,
    /// The operator, which asks the server who can be spared.
    ByOperator,
}

/// A Deployment that replaces pods only once their successors are ready. It does not say how many there are where an autoscaler does.
#[must_use]
pub fn deployment(platform: &Platform, component: Component, workload: &Workload, pods: Pods) -> Deployment {
    let release = BTreeMap::from([(labels::RELEASE.to_owned(), platform.release(component).to_owned())]);
    Deployment {
        metadata: ObjectMeta { annotations: Some(release), ..labels::metadata(platform, component) },
        spec: Some(DeploymentSpec {
            replicas: if platform.hibernation.runs(component) {
                workload.autoscaling.is_none().then_some(workload.replicas)
            } else {
                Some(0)
            },
            revision_history_limit: Some(3),
            selector: labels::selector(platform, component),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: overrides::over(
                template(platform, component, pods),
                &workload.pods,
                &labels::selector(platform, component),
            ),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// A `StatefulSet` with a volume for each pod.
#[must_use]
pub fn stateful_set(
    platform: &Platform,
    component: Component,
    replicas: i32,
    storage: &Storage,
    pods: Pods,
) -> StatefulSet {
    let when_deleted = match platform.deletion_policy {
        DeletionPolicy::Retain => "Retain",
        DeletionPolicy::Delete => "Delete",
    };
    let rolling = match pods.rolling {
        Rolling::ByItself => "RollingUpdate",
        Rolling::ByOperator => "OnDelete",
    };
    let runs = platform.hibernation.runs(component);
    let annotations = (!runs).then(|| BTreeMap::from([(AWAKE.to_owned(), replicas.to_string())]));
    StatefulSet {
        metadata: ObjectMeta { annotations, ..labels::metadata(platform, component) },
        spec: Some(StatefulSetSpec {
            replicas: Some(if runs { replicas } else { 0 }),
            revision_history_limit: Some(3),
            selector: labels::selector(platform, component),
            service_name: Some(platform.names.object(component.name())),
            pod_management_policy: Some("Parallel".into()),
            update_strategy: Some(StatefulSetUpdateStrategy { type_: Some(rolling.into()), rolling_update: None }),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(when_deleted.into()),
                when_scaled: Some("Retain".into()),
            }),
            volume_claim_templates: Some(vec![volume::claim(platform, component, storage)]),
            template: template(platform, component, pods),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

/// SHA-256 of texts, in hexadecimal.
#[must_use]
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hex::encode(hash.finalize())
}

/// The ordinal of a `StatefulSet`'s pod, or of a claim of one: what follows the last dash of its name.
#[must_use]
pub fn ordinal(name: &str) -> Option<i32> {
    name.rsplit_once('-')?.1.parse().ok()
}

fn template(platform: &Platform, component: Component, pods: Pods) -> PodTemplateSpec {
    let annotations = (!pods.read_at_start.is_empty())
        .then(|| BTreeMap::from([(CONFIG_DIGEST.to_owned(), digest(pods.read_at_start.iter().map(String::as_str)))]));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::labels(platform, component)),
            annotations,
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            affinity: Some(apart(platform, component)),
            automount_service_account_token: Some(false),
            containers: [vec![pods.container], pods.sidecars].concat(),
            enable_service_links: Some(false),
            image_pull_secrets: pull_secrets(platform),
            init_containers: (!pods.init_containers.is_empty()).then_some(pods.init_containers),
            security_context: Some(security::pod(pods.user)),
            termination_grace_period_seconds: Some(pods.grace_seconds),
            topology_spread_constraints: Some(vec![spread(platform, component)]),
            volumes: Some(pods.volumes),
            ..PodSpec::default()
        }),
    }
}

/// What nodes log in with to pull images, if anything.
pub(super) fn pull_secrets(platform: &Platform) -> Option<Vec<LocalObjectReference>> {
    let secrets = &platform.images.pull_secrets;
    let references = secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
    (!secrets.is_empty()).then_some(references)
}

/// Pods of one component rather stand in different zones, so that the loss of one leaves a majority.
fn spread(platform: &Platform, component: Component) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        label_selector: Some(labels::selector(platform, component)),
        max_skew: 1,
        topology_key: "topology.kubernetes.io/zone".into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        ..TopologySpreadConstraint::default()
    }
}

/// Pods of one component rather stand on different nodes.
fn apart(platform: &Platform, component: Component) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(labels::selector(platform, component)),
        topology_key: "kubernetes.io/hostname".into(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                pod_affinity_term: term,
                weight: 100,
            }]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}
