//! How many pods run where an autoscaler decides.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bounds of a HorizontalPodAutoscaler, and what it goes by.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.minReplicas) || self.minReplicas <= self.maxReplicas").message("minReplicas is above maxReplicas: lower the one or raise the other").field_path(".minReplicas"))]
pub struct Autoscaling {
    /// The fewest pods that run, 1 to 20, and not above maxReplicas. With two or more the loss of one, or of its node, interrupts nobody.
    /// Default: 1. Change: pods are added where there are fewer; nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 20").message("write a number of pods from 1 to 20"))]
    pub min_replicas: Option<i32>,

    /// The most pods that run, 1 to 20. Change: pods are drained and stopped where there are more; nothing restarts.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 20").message("write a number of pods from 1 to 20"))]
    pub max_replicas: i32,

    /// How much CPU the pods are to use on average, in percent of what each requests (resources.requests.cpu), 1 to 1000: above it pods
    /// are added, and below it they are removed. The default requests are small, so request what a busy pod takes first.
    /// Default: 80. Change: none of the pods restarts.
    #[serde(default, rename = "targetCPUUtilization", skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("write a percentage of the requested CPU from 1 to 1000"))]
    pub target_cpu_utilization: Option<i32>,

    /// How fast pods are added and removed. Default: as Kubernetes does it, each direction for itself. Change: none of the pods restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

/// The bounds of a HorizontalPodAutoscaler of the chat service, and what it goes by: of CPU and connections, whichever asks for more pods.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatAutoscaling {
    /// What every service has.
    #[serde(flatten)]
    pub autoscaling: Autoscaling,

    /// How many sockets each pod is to have on average, 1 to 100000: above it pods are added, and below it they are removed. It needs a metrics
    /// adapter that serves the pods' metric chat_sockets (custom.metrics.k8s.io), such as prometheus-adapter; without one pods are added by
    /// CPU alone, and none is removed. Default: connections do not count. Change: none of the pods restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 100000").message("write a number of sockets from 1 to 100000"))]
    pub target_connections: Option<i32>,
}

/// How fast an autoscaler goes either way.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// How pods are added. Default: without delay, in 15 seconds 4 pods or as many as there are, whichever is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,

    /// How pods are removed. Default: once fewer have been enough for 300 seconds, then all that are too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// How fast an autoscaler goes one way.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// How long a need must last before it is followed, in seconds, 0 to 3600. Default: 0 to add pods, 300 to remove them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 3600").message("write a number of seconds from 0 to 3600"))]
    pub stabilization_window_seconds: Option<i32>,

    /// Which of the policies counts: Max the one that changes most, Min the one that changes least, Disabled none, so that nothing is
    /// changed this way. Default: Max.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,

    /// How much may change in a time; at most 8.
    /// Default: to add pods, 4 pods and 100 percent in 15 seconds; to remove them, 100 percent in 15 seconds.
    #[schemars(length(max = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<ScalingPolicy>,
}

/// Which of several policies counts: Max the one that changes most, Min the one that changes least, Disabled none, so that nothing is
/// changed this way. Default: Max.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SelectPolicy {
    /// The one that changes most.
    #[default]
    Max,
    /// The one that changes least.
    Min,
    /// None of them.
    Disabled,
}

/// How much may change in a time.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// What value counts: Pods, or Percent of those that run.
    #[serde(rename = "type")]
    pub type_: PolicyType,

    /// How many pods, or how many percent of them, 1 to 1000.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("write a number of pods or percent from 1 to 1000"))]
    pub value: i32,

    /// The time in which that may change, in seconds, 1 to 1800.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1800").message("write a number of seconds from 1 to 1800"))]
    pub period_seconds: i32,
}

/// What the value of a policy counts: Pods, or Percent of those that run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum PolicyType {
    /// Pods.
    Pods,
    /// Percent of those that run.
    Percent,
}
