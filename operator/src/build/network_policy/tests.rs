//! Whether policies open what has to be open, and nothing else. What that is stands here once more, as `docs/reference/wiring.md` has it:
//! read from the table that the policies are made from, it would prove nothing.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::evaluator::{Pod, allows};
use super::*;
use crate::build::properties::{containers, platform, spec, templates};
use crate::build::{Prepared, Resources, build as build_all};

const SERVICES: [&str; 5] = ["gateway", "auth", "chat", "media", "notification"];

/// Where a connection may begin or end.
struct Place {
    name: &'static str,
    /// None is outside of the cluster.
    pod: Option<Pod>,
    /// Whether it is of the platform that is looked at.
    own: bool,
}

/// Pods of every component that the platform has, and all sorts of others.
fn places(resources: &Resources<Prepared>) -> Vec<Place> {
    let own = templates(resources).into_iter().map(|(_, template, _)| {
        let labels = template.metadata.unwrap().labels.unwrap();
        let name = Component::from_name(&labels[labels::NAME]).unwrap().name();
        Place { name, pod: Some(Pod { labels, namespace: "team".into() }), own: true }
    });
    let (name, instance, by) = (labels::NAME, labels::INSTANCE, labels::MANAGED_BY);
    let other = |name, pod| Place { name, pod: Some(pod), own: false };
    let others = [
        other("operator", Pod::new("operators", [(name, "chatplatform-operator"), (instance, "any-release")])),
        other("an operator's neighbour", Pod::new("operators", [(name, "something")])),
        other("a false operator", Pod::new("team", [(name, "chatplatform-operator")])),
        other("a pod beside the platform", Pod::new("team", [("app", "something")])),
        other("another product's server", Pod::new("team", [(name, "redis"), (instance, "acme"), (by, "Helm")])),
        other("another platform", Pod::new("team", [(name, "auth"), (instance, "b"), (by, "chatplatform-operator")])),
        other(
            "a pod elsewhere",
            Pod::new("elsewhere", [(name, "auth"), (instance, "acme"), (by, "chatplatform-operator")]),
        ),
        other("an ingress controller", Pod::new("ingress", [(name, "traefik")])),
        Place { name: "the world", pod: None, own: false },
        Place {
            name: "migration",
            pod: Some(Pod::new("team", [(name, "migration"), (instance, "acme"), (by, "chatplatform-operator")])),
            own: true,
        },
        Place {
            name: "backup",
            pod: Some(Pod::new("team", [(name, "backup"), (instance, "acme"), (by, "chatplatform-operator")])),
            own: true,
        },
        // Of no component.
        Place {
            name: "a job",
            pod: Some(Pod::new("team", [(name, "job"), (instance, "acme"), (by, "chatplatform-operator")])),
            own: true,
        },
    ];
    own.chain(others).collect()
}

fn is_external(spec: &Value, server: &str) -> bool {
    let field = if server == "object-storage" { "objectStorage" } else { server };
    spec[field]["external"].is_object()
}

/// "Settings of a service": the servers that each is told of.
fn servers_of(service: &str) -> &'static [&'static str] {
    match service {
        "gateway" => &["redis"],
        "auth" | "chat" => &["mongodb", "redis", "rabbitmq"],
        "media" => &["mongodb", "object-storage", "rabbitmq"],
        "notification" => &["mongodb", "rabbitmq"],
        "migration" => &["mongodb"],
        _ => &[],
    }
}

/// "Names" and "Connection strings": the ports at which clients find a server.
fn client_ports(spec: &Value, server: &str) -> &'static [i32] {
    match server {
        "mongodb" => &[27017],
        "redis" if spec["redis"]["replicas"] == 3 => &[6379, 26379],
        "redis" => &[6379],
        "rabbitmq" => &[5672],
        "object-storage" => &[7070],
        _ => &[],
    }
}

/// What the platform does not work without, of TCP.
fn is_needed(spec: &Value, from: &str, to: &str, port: i32) -> bool {
    match (from, to) {
        ("edge", "gateway" | "web") | ("gateway", "auth" | "chat" | "media" | "notification") => port == 8080,
        ("mongodb", "mongodb") => port == 27017,
        ("redis", "redis") => spec["redis"]["replicas"] == 3 && [6379, 26379].contains(&port),
        ("backup", "mongodb") => spec["backup"].is_object() && port == 27017,
        ("rabbitmq", "rabbitmq") => [4369, 25672].contains(&port),
        ("operator", "rabbitmq") => port == 15672,
        ("operator", "mongodb" | "redis" | "object-storage") => client_ports(spec, to).contains(&port),
        _ => servers_of(from).contains(&to) && client_ports(spec, to).contains(&port),
    }
}

/// Whether a pod of the platform may go there, whoever it is that is there.
fn is_let_out(spec: &Value, from: &str, to: &Place, protocol: &str, port: i32) -> bool {
    let named_by_itself =
        ["mongodb", "rabbitmq"].contains(&from) || (from == "redis" && spec["redis"]["replicas"] == 3);
    let backs_up = from == "backup" && spec["backup"].is_object();
    let asks_names = named_by_itself || SERVICES.contains(&from) || from == "migration" || backs_up;
    let mails = from == "notification" && spec["email"].is_object();
    let mail_port = spec["email"]["port"].as_i64().unwrap_or(25);
    let pushes = from == "notification" && spec["push"].is_object();
    let push_ports: &[i32] = if spec["push"]["endpoint"].is_string() { &[443, 8443] } else { &[443] };
    let searches = from == "chat" && spec["search"]["openSearch"].is_object();
    let traces = SERVICES.contains(&from) && spec["tracing"].is_object();
    asks_names && [53, 5353].contains(&port)
        || servers_of(from).iter().any(|server| is_external(spec, server))
        || mails && (to.pod.is_some() || protocol == "TCP" && i64::from(port) == mail_port)
        || pushes && (to.pod.is_some() || protocol == "TCP" && push_ports.contains(&port))
        || searches && (to.pod.is_some() || protocol == "TCP" && port == 9200)
        || backs_up && (to.pod.is_some() || protocol == "TCP" && port == 443)
        || traces && (to.pod.is_some() || protocol == "TCP" && port == 4318)
}

/// Whether a pod of the platform may be reached there, whoever it is that comes.
fn is_let_in(spec: &Value, from: &Place, to: &str, protocol: &str, port: i32) -> bool {
    let metrics = SERVICES.contains(&to) && port == 9090 || to == "rabbitmq" && port == 15692;
    let exposure = &spec["exposure"];
    let namespace = exposure["controllerNamespace"].as_str();
    let comes = match exposure["type"].as_str() {
        // Only by way of a controller.
        Some("Ingress" | "Gateway") => {
            from.pod.as_ref().is_some_and(|pod| namespace.is_none_or(|namespace| pod.namespace == namespace))
        }
        _ => true,
    };
    protocol == "TCP" && (to == "edge" && [8080, 8443].contains(&port) && comes || metrics && from.pod.is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_needed_flow_is_open_and_everything_else_is_closed(mut spec in spec()) {
        spec["networkPolicy"] = json!({"mode": "Isolated"});
        let resources = build_all(&platform("acme", &spec));
        let policies = &resources.network_policies;
        let listened_at = templates(&resources).into_iter()
            .flat_map(|(_, template, _)| containers(&template))
            .flat_map(|(container, _)| container.ports.into_iter().flatten())
            .map(|port| port.container_port);
        let tcp: BTreeSet<i32> = listened_at.chain([1, 25, 53, 443, 2525, 4318, 5353, 9200, 26379, 35672]).collect();
        let tries: Vec<(&str, i32)> = tcp.into_iter().map(|port| ("TCP", port))
            .chain([53, 5353, 27017].map(|port| ("UDP", port))).collect();
        let places = places(&resources);
        let pairs = places.iter().flat_map(|from| places.iter().map(move |to| (from, to)));
        for (from, to) in pairs.filter(|(from, to)| from.own || to.own) {
            for &(protocol, port) in &tries {
                let needed = protocol == "TCP" && is_needed(&spec, from.name, to.name, port);
                let by_chance = (!from.own || is_let_out(&spec, from.name, to, protocol, port))
                    && (!to.own || is_let_in(&spec, from, to.name, protocol, port));
                let is = allows(policies, from.pod.as_ref(), to.pod.as_ref(), protocol, port);
                prop_assert_eq!(is, needed || by_chance, "{} to {} at {} {}", from.name, to.name, protocol, port);
            }
        }
    }

    #[test]
    fn every_address_that_a_pod_is_told_of_is_open_to_it(mut spec in spec()) {
        spec["networkPolicy"] = json!({"mode": "Isolated"});
        let resources = build_all(&platform("acme", &spec));
        for (from, to, port) in told(&resources) {
            let pod = |name: &str| places(&resources).into_iter().find(|place| place.name == name).unwrap().pod;
            let is = allows(&resources.network_policies, pod(&from).as_ref(), pod(&to).as_ref(), "TCP", port);
            prop_assert!(is, "{from} is told of {to} at {port}");
        }
    }

    #[test]
    fn policies_hold_no_empty_list_as_the_api_server_keeps_none(spec in spec()) {
        let policies = build_all(&platform("acme", &spec)).network_policies;
        prop_assert!(!json!(policies).to_string().trim_matches(['[', ']']).contains("[]"));
    }
}

/// Who is told of whom, and of which port: by the environment, and by the files of the same name.
fn told(resources: &Resources<Prepared>) -> BTreeSet<(String, String, i32)> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for secret in &resources.secrets {
        let values = secret.data.iter().flatten().map(|(_, value)| String::from_utf8_lossy(&value.0).into_owned());
        texts.entry(secret.metadata.name.clone().unwrap()).or_default().extend(values);
    }
    for files in &resources.config_maps {
        let files_of = texts.entry(files.metadata.name.clone().unwrap()).or_default();
        files_of.extend(files.data.iter().flatten().map(|(_, text)| text.clone()));
    }
    let mut told = BTreeSet::new();
    for (_, template, _) in templates(resources) {
        let from = template.metadata.as_ref().unwrap().labels.as_ref().unwrap()[labels::NAME].clone();
        let environment =
            containers(&template).into_iter().flat_map(|(container, _)| container.env.into_iter().flatten());
        let values: Vec<String> = environment.filter_map(|variable| variable.value).collect();
        let files = texts.get(&format!("acme-{from}")).into_iter().flatten();
        for (to, port) in files.chain(&values).flat_map(|text| addresses(text)) {
            told.insert((from.clone(), to, port));
        }
    }
    told
}

/// Components and ports in a text, by the names that their pods and Services have, or by an address of the latter.
fn addresses(text: &str) -> Vec<(String, i32)> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || ".-:".contains(c)));
    let found = words.filter_map(|word| {
        let (host, ports) = word.trim_start_matches('.').split_once(':')?;
        let name = match host.split('.').next()? {
            _ if host == "10.0.0.1" => "gateway",
            _ if host == "10.0.0.2" => "web",
            label => {
                let name = label.strip_prefix("acme-")?.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit());
                // The gateway knows its services' pods by a name of their own.
                name.strip_suffix("-pods").unwrap_or(name)
            }
        };
        Some(ports.split(':').filter_map(|port| Some((name.to_owned(), port.parse().ok()?))).collect::<Vec<_>>())
    });
    found.flatten().collect()
}

#[test]
fn pods_are_told_of_everything_that_the_test_above_is_about() {
    let count = |spec: Value| told(&build_all(&platform("acme", &spec))).len();
    // The edge of 2, the gateway of 5, auth, chat and media of 3 each, notification of 2.
    assert_eq!(count(json!({"host": "a.example"})), 18);
    // Redis of itself at two ports.
    assert_eq!(count(json!({"host": "a.example", "redis": {"replicas": 3}})), 20);
}

#[test]
fn an_open_platform_has_no_policies() {
    let spec = json!({"host": "a.example", "networkPolicy": {"mode": "Open"}});
    assert_eq!(build(&platform("acme", &spec)), []);
}

#[test]
fn the_operator_is_known_by_the_label_of_its_chart() {
    let names = include_str!("../../../../charts/chatplatform-operator/templates/_names.tpl");
    assert!(names.contains(&format!("{}: {OPERATOR}\n", labels::NAME)));
}
