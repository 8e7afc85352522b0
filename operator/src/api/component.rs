//! What every component may be told: how many, how large, where its data lies.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantity::Quantity;

/// A component that keeps no data of its own.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// How many pods run, 1 to 20. Default: 1. Change: pods are added or drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 20").message("allowed are 1 to 20 replicas"))]
    pub replicas: Option<i32>,

    /// CPU and memory of a pod. Default: small, for some hundred people. Change: rolling restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// The chat service.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// How many pods run. Default: 1, the only value allowed in this release, as a conversation's sockets must meet in one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == 1").message("this release runs one chat pod: write 1 or leave spec.chat.replicas out"))]
    pub replicas: Option<i32>,

    /// CPU and memory of a pod. Default: small, for some hundred people. Change: rolling restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// CPU and memory of a container. What is left out keeps its default.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler sets aside for a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Amounts>,

    /// What a pod may use at most. A container above its memory is killed, one above its CPU is slowed down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Amounts>,
}

/// Amounts of CPU and memory.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// CPU cores, such as 500m or 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,

    /// Memory, such as 256Mi or 2Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// A volume for each pod of a component.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)").message("storage.className cannot be changed once the volumes exist: put the old class back, or make a new platform and move the data"))]
#[x_kube(validation = Rule::new("!has(self.size) || !has(oldSelf.size) || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0").message("storage.size cannot shrink once the volumes exist: put the old size back, or write a larger one"))]
pub struct Storage {
    /// Size of each volume, such as 10Gi. It can grow, where the class of the volumes allows that, and not shrink.
    /// Change: the volumes are enlarged in place, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,

    /// StorageClass of the volumes. Default: the cluster's default class. Fixed once created.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
}

/// What happens to volumes, and to the Secrets that make them readable, when the platform is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Retain,
    /// They go.
    Delete,
}
