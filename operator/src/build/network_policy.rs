//! Network policies: a pod reaches, and is reached by, only whom the flow of data needs.
//!
//! Policies add up and each can only open, so one closes every pod of the platform, and one for each component opens the component's
//! ends of the flows in [`flows`]. A connection takes both: its beginning must be let out and its end let in.
//!
//! Nothing is said of the kubelet's probes: "traffic to and from the node where a Pod is running is always allowed" (Kubernetes
//! documentation, "Network Policies"), whatever its port.

#[cfg(test)]
mod evaluator;
mod flows;
#[cfg(test)]
mod tests;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;

use super::component::Component;
use super::{labels, migration};
use crate::api::NetworkPolicyMode;
use crate::validate::Platform;
use flows::{End, Flow};

/// What follows the platform's name in the name of the policy that closes.
const DEFAULT_DENY: &str = "default-deny";
/// The operator's pods, by the label that its chart gives them.
const OPERATOR: &str = "chatplatform-operator";
/// The label by which the API server makes every namespace known by its name.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// The policies of a platform; none where it shall be open.
#[must_use]
pub fn build(platform: &Platform) -> Vec<NetworkPolicy> {
    match platform.network_policy {
        NetworkPolicyMode::Open => Vec::new(),
        NetworkPolicyMode::Isolated => {
            let flows = flows::of(platform);
            let own = Component::ALL.into_iter().filter(|component| !platform.is_external(*component));
            let own = own.map(|component| {
                let pods = labels::own_pods(platform, component);
                opening(End::Of(component), labels::metadata(platform, component), pods, platform, &flows)
            });
            let labels = labels::metadata_of_all(platform, migration::NAME);
            let migrating = opening(End::Migration, labels, labels::migrating_pods(platform), platform, &flows);
            let backing_up = platform.backup.as_ref().map(|_| {
                let metadata = labels::metadata_of_all(platform, labels::BACKUP);
                opening(End::Backup, metadata, labels::backing_up_pods(platform), platform, &flows)
            });
            own.chain([migrating]).chain(backing_up).chain([closing(platform)]).collect()
        }
    }
}

/// Nothing in and nothing out, for every pod of the platform, of whatever component.
fn closing(platform: &Platform) -> NetworkPolicy {
    let spec = NetworkPolicySpec {
        pod_selector: Some(labels::all_pods(platform)),
        policy_types: Some(both_ways()),
        ingress: None,
        egress: None,
    };
    NetworkPolicy { metadata: labels::metadata_of_all(platform, DEFAULT_DENY), spec: Some(spec) }
}

/// The flows that end at some pods, and those that begin there.
fn opening(own: End, metadata: ObjectMeta, pods: LabelSelector, platform: &Platform, flows: &[Flow]) -> NetworkPolicy {
    let ingress: Vec<_> = flows
        .iter()
        .filter(|flow| flow.to == own)
        .map(|flow| NetworkPolicyIngressRule { from: peers(platform, flow.from), ports: ports(flow) })
        .collect();
    let egress: Vec<_> = flows
        .iter()
        .filter(|flow| flow.from == own)
        .map(|flow| NetworkPolicyEgressRule { to: peers(platform, flow.to), ports: ports(flow) })
        .collect();
    NetworkPolicy {
        metadata,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods),
            policy_types: Some(both_ways()),
            // The API server keeps no empty list, and one that is not there lets nothing through just as well.
            ingress: some(ingress),
            egress: some(egress),
        }),
    }
}

fn both_ways() -> Vec<String> {
    vec!["Ingress".to_owned(), "Egress".to_owned()]
}

/// Who is at an end; none is everybody.
fn peers(platform: &Platform, end: End) -> Option<Vec<NetworkPolicyPeer>> {
    let peer = match end {
        End::Anyone | End::NameServer => return None,
        End::Of(component) => NetworkPolicyPeer {
            pod_selector: Some(labels::own_pods(platform, component)),
            ..NetworkPolicyPeer::default()
        },
        End::Migration => {
            NetworkPolicyPeer { pod_selector: Some(labels::migrating_pods(platform)), ..NetworkPolicyPeer::default() }
        }
        End::Backup => {
            NetworkPolicyPeer { pod_selector: Some(labels::backing_up_pods(platform)), ..NetworkPolicyPeer::default() }
        }
        End::Operator => NetworkPolicyPeer {
            namespace_selector: Some(labelled(NAMESPACE, &platform.operator_namespace)),
            pod_selector: Some(labelled(labels::NAME, OPERATOR)),
            ..NetworkPolicyPeer::default()
        },
        End::Cluster => any_pod(LabelSelector::default()),
        End::Controller => {
            let namespace = platform.exposure.controller_namespace.as_ref();
            any_pod(namespace.map_or_else(LabelSelector::default, |namespace| labelled(NAMESPACE, namespace)))
        }
    };
    Some(vec![peer])
}

fn any_pod(namespaces: LabelSelector) -> NetworkPolicyPeer {
    NetworkPolicyPeer { namespace_selector: Some(namespaces), ..NetworkPolicyPeer::default() }
}

fn labelled(label: &str, value: &str) -> LabelSelector {
    LabelSelector { match_labels: Some([(label.to_owned(), value.to_owned())].into()), ..LabelSelector::default() }
}

/// The ports of a flow; none is every port.
fn ports(flow: &Flow) -> Option<Vec<NetworkPolicyPort>> {
    // Names are asked for by UDP, and again by TCP where the answer is long (RFC 7766).
    let protocols: &[&str] = if flow.to == End::NameServer { &["UDP", "TCP"] } else { &["TCP"] };
    let port = |protocol: &str, number| NetworkPolicyPort {
        port: Some(IntOrString::Int(number)),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    };
    let ports = protocols.iter().flat_map(|protocol| flow.ports.iter().map(move |number| port(protocol, *number)));
    some(ports.collect())
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
