//! What network policies mean, by the API's own description of `NetworkPolicySpec`: whether one place can open a connection to another.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

type Labels = BTreeMap<String, String>;

/// A pod as policies see it.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) labels: Labels,
    pub(super) namespace: String,
}

impl Pod {
    pub(super) fn new<const N: usize>(namespace: &str, labels: [(&str, &str); N]) -> Self {
        let labels = labels.into_iter().map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
        Self { labels, namespace: namespace.to_owned() }
    }

    /// The API server gives every namespace this label.
    fn namespace_labels(&self) -> Labels {
        [("kubernetes.io/metadata.name".to_owned(), self.namespace.clone())].into()
    }
}

/// Whether a connection can be opened: the policies of where it begins let it out, and those of where it ends let it in. No pod is an
/// address outside of the cluster, which no policy selects.
pub(super) fn allows(
    policies: &[NetworkPolicy],
    from: Option<&Pod>,
    to: Option<&Pod>,
    protocol: &str,
    port: i32,
) -> bool {
    let out = from.is_none_or(|pod| lets_out(policies, pod, to, protocol, port));
    let in_ = to.is_none_or(|pod| lets_in(policies, pod, from, protocol, port));
    out && in_
}

fn lets_out(policies: &[NetworkPolicy], pod: &Pod, to: Option<&Pod>, protocol: &str, port: i32) -> bool {
    let mut of_pod = selecting(policies, pod, "Egress").peekable();
    of_pod.peek().is_none()
        || of_pod.any(|policy| {
            policy
                .spec
                .iter()
                .flat_map(|spec| spec.egress.iter().flatten())
                .any(|rule| is_peer(policy, rule.to.as_deref(), to) && is_port(rule.ports.as_deref(), protocol, port))
        })
}

fn lets_in(policies: &[NetworkPolicy], pod: &Pod, from: Option<&Pod>, protocol: &str, port: i32) -> bool {
    let mut of_pod = selecting(policies, pod, "Ingress").peekable();
    of_pod.peek().is_none()
        || of_pod.any(|policy| {
            policy.spec.iter().flat_map(|spec| spec.ingress.iter().flatten()).any(|rule| {
                is_peer(policy, rule.from.as_deref(), from) && is_port(rule.ports.as_deref(), protocol, port)
            })
        })
}

/// The policies that isolate a pod in one direction. A policy that does not say which counts for what comes in, and for what goes out if it
/// speaks of it.
fn selecting<'a>(
    policies: &'a [NetworkPolicy],
    pod: &'a Pod,
    direction: &'a str,
) -> impl Iterator<Item = &'a NetworkPolicy> {
    policies.iter().filter(move |policy| {
        let Some(spec) = &policy.spec else { return false };
        let directed = match spec.policy_types.as_deref() {
            None | Some([]) => direction == "Ingress" || spec.egress.is_some(),
            Some(types) => types.iter().any(|type_| type_ == direction),
        };
        let selected = spec.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels));
        directed && selected && policy.metadata.namespace.as_deref() == Some(pod.namespace.as_str())
    })
}

/// An empty list is everybody, within the cluster and outside.
fn is_peer(policy: &NetworkPolicy, peers: Option<&[NetworkPolicyPeer]>, pod: Option<&Pod>) -> bool {
    let Some(peers @ [_, ..]) = peers else { return true };
    peers.iter().any(|peer| {
        assert!(peer.ip_block.is_none(), "addresses are not known here");
        let Some(pod) = pod else { return false };
        let in_namespace = match &peer.namespace_selector {
            Some(selector) => selects(selector, &pod.namespace_labels()),
            None => policy.metadata.namespace.as_deref() == Some(pod.namespace.as_str()),
        };
        in_namespace && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, &pod.labels))
    })
}

/// An empty list is every port.
fn is_port(ports: Option<&[NetworkPolicyPort]>, protocol: &str, number: i32) -> bool {
    let Some(ports @ [_, ..]) = ports else { return true };
    ports.iter().any(|port| {
        port.protocol.as_deref().unwrap_or("TCP") == protocol
            && match port.port {
                None => true,
                Some(IntOrString::Int(first)) => (first..=port.end_port.unwrap_or(first)).contains(&number),
                Some(IntOrString::String(ref name)) => panic!("the number of port {name} is not known here"),
            }
    })
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(label, value)| labels.get(label) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|wanted| {
            let value = labels.get(&wanted.key);
            let listed = value.is_some_and(|value| wanted.values.iter().flatten().any(|one| one == value));
            match wanted.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                operator => panic!("{operator} is no operator of a label selector"),
            }
        })
}

#[test]
fn policies_add_up_and_a_connection_takes_both_sides() {
    let policy = |spec: serde_json::Value| -> NetworkPolicy {
        let metadata = serde_json::json!({"name": "a", "namespace": "team"});
        let value = serde_json::json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec,
        });
        serde_json::from_value(value).unwrap_or_default()
    };
    let pod = |name| Pod::new("team", [("name", name)]);
    let (web, db, stranger) = (pod("web"), pod("db"), Pod::new("elsewhere", [("name", "web")]));
    let is =
        |policies: &[NetworkPolicy], from: &Pod, to: &Pod, port| allows(policies, Some(from), Some(to), "TCP", port);
    // Nobody is isolated.
    assert!(is(&[], &stranger, &db, 1));
    let selector = |name: &str| serde_json::json!({"matchLabels": {"name": name}});
    let closed = policy(serde_json::json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    let lets_in = policy(serde_json::json!({
        "podSelector": selector("db"), "ingress": [{"from": [{"podSelector": selector("web")}], "ports": [{"port": 1}]}],
    }));
    let lets_out = policy(serde_json::json!({
        "podSelector": selector("web"), "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": selector("db")}], "ports": [{"port": 1, "endPort": 2}]}],
    }));
    // A policy for what comes in isolates its pods for that alone, and a peer without a namespace is in the policy's own.
    let in_alone = [lets_in.clone()];
    assert!(is(&in_alone, &web, &db, 1) && !is(&in_alone, &web, &db, 2) && !is(&in_alone, &stranger, &db, 1));
    assert!(is(&in_alone, &db, &stranger, 9) && !allows(&in_alone, None, Some(&db), "TCP", 1));
    let (one_side, both) = ([closed.clone(), lets_in.clone()], [closed, lets_in, lets_out]);
    assert!(!is(&one_side, &web, &db, 1));
    assert!(is(&both, &web, &db, 1) && !is(&both, &web, &db, 2) && !is(&both, &db, &web, 1));
    assert!(!allows(&both, Some(&web), None, "TCP", 1) && !allows(&both, Some(&web), Some(&db), "UDP", 1));
}
