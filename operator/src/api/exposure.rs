//! How the edge is reached, and the certificate it shows.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::rules;

/// The certificate of the edge: exactly one of the fields.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.selfSigned) ? 1 : 0) + (has(self.secretName) ? 1 : 0) + (has(self.issuerRef) ? 1 : 0) == 1").message("spec.tls takes exactly one of selfSigned, secretName and issuerRef: write one of them, or leave spec.tls out"))]
pub struct Tls {
    /// A certificate for spec.host from an authority of the operator's own, which browsers do not know until they are told to trust it:
    /// its certificate is in the Secret <name>-edge-tls, key ca.crt. Written as {}. Default: this, where spec.tls is left out.
    /// Change: live at the edge within a minute, nothing restarts and no connection is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<SelfSigned>,

    /// Name of a Secret of type kubernetes.io/tls in the platform's namespace, with tls.crt (the certificate, then those between it and
    /// its authority) and tls.key (RSA, or elliptic curve P-256 or P-384); at most 253 characters. What is in it is checked first, and
    /// then copied to the Secret <name>-edge-tls, so that a broken one never reaches the edge.
    /// Default: none, so that selfSigned counts. Change, also of what is in it: live at the edge within a minute, nothing restarts and
    /// no connection is closed.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::object_name("a Secret in the platform's namespace"))]
    pub secret_name: Option<String>,

    /// An issuer of cert-manager, which has to be installed: the operator makes a Certificate for spec.host, and cert-manager keeps the
    /// Secret <name>-edge-tls-issued fresh. Until it is there, the edge shows the certificate that it had, or one of the operator's own.
    /// Default: none, so that selfSigned counts. Change: live at the edge as soon as the certificate is issued, nothing restarts and no
    /// connection is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,
}

/// An issuer of cert-manager (<https://cert-manager.io/docs/configuration/>). Change: a new certificate is asked for.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.group) && self.group != 'cert-manager.io') || !has(self.kind) || self.kind in ['Issuer', 'ClusterIssuer']").message("spec.tls.issuerRef.kind takes Issuer or ClusterIssuer: write one of them, or the group of an issuer that is not cert-manager's own").field_path(".kind"))]
pub struct IssuerRef {
    /// Name of the issuer; at most 253 characters.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("an issuer"))]
    pub name: String,

    /// Issuer, which is in the platform's namespace, or ClusterIssuer, which is for all; another kind with a group of its own. At most 63
    /// letters and digits, the first one in upper case. Default: Issuer.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[A-Z][A-Za-z0-9]*$')").message("write a kind, such as Issuer or ClusterIssuer"))]
    pub kind: Option<String>,

    /// API group of the issuer's kind, for those that are not cert-manager's own; at most 253 characters. Default: cert-manager.io.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')").message("write an API group, such as cert-manager.io"))]
    pub group: Option<String>,
}

/// The operator's own authority; nothing to set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct SelfSigned {}

/// How the edge is reached: by a Service alone, or by way of an ingress controller or a Gateway, which terminate TLS.
/// Change: see type.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.nodePort) || (has(self.type) && self.type == 'NodePort')").message("spec.exposure.nodePort needs spec.exposure.type NodePort: set the type, or leave nodePort out"))]
#[x_kube(validation = Rule::new("!has(self.className) || (has(self.type) && self.type == 'Ingress')").message("spec.exposure.className needs spec.exposure.type Ingress: set the type, or leave className out"))]
#[x_kube(validation = Rule::new("has(self.parentRefs) == (has(self.type) && self.type == 'Gateway')").message("spec.exposure.parentRefs and spec.exposure.type Gateway need each other: write the Gateways that take the route, or leave parentRefs out and choose another type"))]
#[x_kube(validation = Rule::new("!has(self.controllerNamespace) || (has(self.type) && self.type in ['Ingress', 'Gateway'])").message("spec.exposure.controllerNamespace needs spec.exposure.type Ingress or Gateway: set the type, or leave controllerNamespace out"))]
pub struct Exposure {
    /// ClusterIP, NodePort, LoadBalancer, Ingress or Gateway. Default: ClusterIP.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ExposureType>,

    /// Port for https on every node; only with type NodePort. 1 to 65535, and within the range of the cluster, which usually is 30000 to
    /// 32767. Default: the cluster chooses. Change: in place, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("spec.exposure.nodePort takes 1 to 65535: write a port within the range of the cluster, which usually is 30000 to 32767"))]
    pub node_port: Option<i32>,

    /// Name of the IngressClass, and so of the controller that takes the Ingress; only with type Ingress. At most 253 characters.
    /// Default: the cluster's default class. Change: in place, nothing restarts.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::object_name("an IngressClass"))]
    pub class_name: Option<String>,

    /// Annotations of the Ingress (type Ingress), of the HTTPRoute (Gateway), or of the Service (all others), which many controllers and
    /// load balancers are configured by; at most 64, with names such as example.com/internal.
    /// Default: none. Change: in place, nothing restarts.
    #[schemars(extend("maxProperties" = 64))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// Gateways that take the HTTPRoute, with type Gateway, which needs at least one; at most 8. Each must have a listener for https that
    /// lets routes of the platform's namespace in; the certificate is the listener's.
    /// Default: none. Change: in place, nothing restarts.
    #[schemars(length(min = 1, max = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentRef>,

    /// Namespace of the pods of the ingress controller, or of those that serve the Gateway; only with types Ingress and Gateway. Where it
    /// is given, the NetworkPolicy lets them alone in to the edge. At most 63 characters.
    /// Default: any pod of the cluster is let in, and nobody from outside. Change: immediate, nothing restarts.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::label("a namespace"))]
    pub controller_namespace: Option<String>,
}

/// A Gateway, or one of its listeners. Change: in place, nothing restarts.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Name of the Gateway; at most 253 characters.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("a Gateway"))]
    pub name: String,

    /// Namespace of the Gateway; at most 63 characters. Default: the platform's own.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::label("a namespace"))]
    pub namespace: Option<String>,

    /// Name of the listener, which should be the one for https; at most 253 characters. Default: every listener that lets the route in.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::object_name("a listener of the Gateway"))]
    pub section_name: Option<String>,

    /// Port of the listener, 1 to 65535. Default: every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("spec.exposure.parentRefs takes ports from 1 to 65535: write the port of a listener, or leave it out"))]
    pub port: Option<i32>,
}

/// ClusterIP is reached from within the cluster alone, NodePort by a port of every node, LoadBalancer by a load balancer of the cloud:
/// TLS goes through to the edge. Ingress makes an Ingress with TLS for spec.host, Gateway an HTTPRoute: TLS ends at their controller,
/// which the edge then takes requests from, and believes as to the addresses of clients.
/// Default: ClusterIP. Change: in place, nothing restarts; from or to Ingress and Gateway, rolling restart of the edge.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ExposureType {
    /// Reached from within the cluster alone.
    #[default]
    ClusterIP,
    /// A port of every node.
    NodePort,
    /// A load balancer of the cloud.
    LoadBalancer,
    /// An ingress controller.
    Ingress,
    /// A Gateway.
    Gateway,
}

impl ExposureType {
    /// Whether requests come by way of a proxy that terminates TLS.
    #[must_use]
    pub fn is_behind_proxy(self) -> bool {
        matches!(self, Self::Ingress | Self::Gateway)
    }
}
