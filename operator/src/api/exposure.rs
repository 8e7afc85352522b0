//! How the edge is reached, and the certificate it shows.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The certificate of the edge: exactly one of the fields.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.selfSigned) != has(self.secretName)").message("spec.tls takes exactly one of selfSigned and secretName"))]
pub struct Tls {
    /// A certificate for spec.host from an authority of the operator's own; its certificate is in the Secret <name>-ca, key ca.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<SelfSigned>,

    /// A Secret of type kubernetes.io/tls in the platform's namespace. A new certificate in it reaches the edge by a rolling restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// ClusterIP (reached from within the cluster alone), NodePort or LoadBalancer. Default: ClusterIP.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ExposureType>,

    /// Port for https on every node, usually 30000 to 32767; only with type NodePort. Default: the cluster chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("spec.exposure.nodePort takes 1 to 65535, within the range of the cluster, which usually is 30000 to 32767"))]
    pub node_port: Option<i32>,

    /// Annotations of the Service, which many load balancers are configured by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Type of the Service in front of the edge.
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
