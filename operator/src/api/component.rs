//! What every component may be told: how many, how large, where its data lies.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::autoscaling::{Autoscaling, ChatAutoscaling};
use super::pod_template::PodTemplate;
use super::quantity::Quantity;
use super::rules;

/// A component that keeps no data of its own.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::scaled_by_one())]
pub struct Workload {
    /// How many pods run, 1 to 20; not with autoscaling. With two or more the loss of one, or of its node, interrupts nobody.
    /// Default: 1. Change: pods are added, or drained and stopped; the others go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 20").message("write a number of pods from 1 to 20"))]
    pub replicas: Option<i32>,

    /// Bounds within which a HorizontalPodAutoscaler chooses how many pods run, by the CPU that they use; not with replicas. It needs
    /// metrics of pods in the cluster, as metrics-server gives them.
    /// Default: none, so that replicas counts. Change: none of the pods restarts, and their number stays until it is out of the bounds;
    /// taken out again, it is replicas at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// CPU and memory of each pod.
    /// Default: little, enough for some hundred people; each amount below has its own. Change: rolling restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// What the pods have beyond what the operator gives them, and where they run.
    /// Default: nothing; pods rather stand on different nodes and in different zones. Change: rolling restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// The chat service.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::scaled_by_one_or_by_default())]
pub struct Chat {
    /// How many pods run, 1 to 20, and what `kubectl scale` of the platform changes; with autoscaling 1, which then says nothing.
    /// Everybody's sockets see the same whichever pod has them, and with two or more the loss of one is a reconnection for its people.
    /// Default: 1. Change: pods are added, or drained and stopped, whose people reconnect to the others.
    // Written into each document, as the scale subresource fails where the field is missing.
    #[schemars(extend("default" = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 20").message("write a number of pods from 1 to 20"))]
    pub replicas: Option<i32>,

    /// Bounds within which a HorizontalPodAutoscaler chooses how many pods run, by the CPU that they use and, if that is wanted, by their
    /// connections. It needs metrics of pods in the cluster, as metrics-server gives them. Sockets stay where they are until they reconnect,
    /// so a new pod takes its share slowly.
    /// Default: none, so that replicas counts. Change: none of the pods restarts, and their number stays until it is out of the bounds;
    /// taken out again, it is replicas at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<ChatAutoscaling>,

    /// CPU and memory of each pod.
    /// Default: little, enough for some hundred people; each amount below has its own. Change: rolling restart, and people reconnect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// What the pods have beyond what the operator gives them, and where they run.
    /// Default: nothing; pods rather stand on different nodes and in different zones. Change: rolling restart, and people reconnect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// CPU and memory of a container. What is left out keeps its default.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::limit_holds_request("cpu"))]
#[x_kube(validation = rules::limit_holds_request("memory"))]
pub struct Resources {
    /// What the scheduler sets aside on a node for each pod; a pod for which no node has that much left waits.
    /// Default: the component's own, lowered to the limit where that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Amounts>,

    /// What each pod may use at most: one that wants more memory is killed and started again, one that wants more CPU is slowed down.
    /// Not below the request of the same amount. Default: the component's own for memory, none for CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
}

/// Amounts of CPU and memory.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// CPU in cores, above zero: 2 is two cores, 500m half of one. Default: the component's own request, and no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::cpu())]
    pub cpu: Option<Quantity>,

    /// Memory in bytes, 4Mi or more, as 256Mi, 2Gi or 500M. Default: the component's own request and limit; the limit rises with a
    /// request above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::memory())]
    pub memory: Option<Quantity>,
}

/// A volume for each pod of a component.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of each volume in bytes, 64Mi or more, such as 10Gi. It can grow, where the class of the volumes allows that, and not shrink;
    /// left out, it is the default again, which may be less. Default: the component's own.
    /// Change: the volumes are enlarged in place, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::size())]
    pub size: Option<Quantity>,

    /// StorageClass of the volumes. Default: the cluster's default class.
    /// Change: none is possible once the volumes exist.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::object_name("a StorageClass of the cluster, or leave className out for its default"))]
    pub class_name: Option<String>,
}

/// What happens to the data when this document is deleted. Retain keeps the volumes and the Secrets without which they are
/// unreadable, and a platform of the same name takes them up again; Delete removes both for good.
/// Default: Retain. Change: immediate, nothing restarts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Retain,
    /// They go.
    Delete,
}
