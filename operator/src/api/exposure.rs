//! How the edge is reached, and the certificate it shows.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::rules;

/// The certificate of the edge: exactly one of the fields.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.selfSigned) != has(self.secretName)").message("spec.tls takes exactly one of selfSigned and secretName: write one of them, or leave spec.tls out"))]
pub struct Tls {
    /// A certificate for spec.host from an authority of the operator's own, which browsers do not know until they are told to trust it:
    /// its certificate is in the Secret <name>-ca, key ca.crt. Written as {}. Default: this, where spec.tls is left out.
    /// Change: rolling restart of the edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<SelfSigned>,

    /// Name of a Secret of type kubernetes.io/tls in the platform's namespace, with tls.crt and tls.key; at most 253 characters.
    /// Default: none, so that selfSigned counts. Change, also of what is in it: rolling restart of the edge.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::object_name("a Secret in the platform's namespace"))]
    pub secret_name: Option<String>,
}

/// The operator's own authority; nothing to set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SelfSigned {}

/// The Service in front of the edge. Change: the Service is changed in place.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.nodePort) || (has(self.type) && self.type == 'NodePort')").message("spec.exposure.nodePort needs spec.exposure.type NodePort: set the type, or leave nodePort out"))]
pub struct Exposure {
    /// Type of the Service in front of the edge. Default: ClusterIP.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ExposureType>,

    /// Port for https on every node; only with type NodePort. 1 to 65535, and within the range of the cluster, which usually is 30000 to
    /// 32767. Default: the cluster chooses. Change: in place, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("spec.exposure.nodePort takes 1 to 65535: write a port within the range of the cluster, which usually is 30000 to 32767"))]
    pub node_port: Option<i32>,

    /// Annotations of the Service, which many load balancers are configured by; at most 64, with names such as example.com/internal.
    /// Default: none. Change: in place, nothing restarts.
    #[schemars(extend("maxProperties" = 64))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Type of the Service in front of the edge: ClusterIP is reached from within the cluster alone, NodePort by a port of every node,
/// LoadBalancer by a load balancer of the cloud.
/// Default: ClusterIP. Change: in place, nothing restarts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ExposureType {
    /// Reached from within the cluster alone.
    #[default]
    ClusterIP,
    /// A port of every node.
    NodePort,
    /// A load balancer of the cloud.
    LoadBalancer,
}
