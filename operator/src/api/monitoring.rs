//! Who gathers the metrics of the platform's pods.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Who gathers the metrics of the platform's pods.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// A PodMonitor of the Prometheus operator (monitoring.coreos.com/v1) over the services and RabbitMQ, named like the platform; {} is
    /// enough. The cluster must know the kind.
    /// Default: none; tools that find pods by themselves ask port admin, or prometheus of RabbitMQ, for /metrics.
    /// Change: made, changed or removed at once; nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_monitor: Option<PodMonitor>,
}

/// A PodMonitor of the Prometheus operator.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodMonitor {
    /// Labels of the PodMonitor, by which a Prometheus selects it, besides the operator's own; at most 64. Names and values as those of
    /// labels of pods. Default: none.
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = rules::not_ours("label"), validation = rules::label_values())]
    pub labels: BTreeMap<String, String>,

    /// How often metrics are asked for, a number with one unit of ms, s, m or h, such as 30s. Default: Prometheus's own.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::interval())]
    pub interval: Option<String>,
}
