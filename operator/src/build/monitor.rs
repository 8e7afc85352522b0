//! The `PodMonitor` by which a Prometheus finds the platform's pods
//! (<https://prometheus-operator.dev/docs/api-reference/api/>, `PodMonitorSpec`).

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::labels;
use super::optional::Optional;
use crate::validate::Platform;

/// What follows the platform's name in the name of the `PodMonitor`.
const NAME: &str = "metrics";
/// Ports that answer `/metrics`, as containers name them; a pod without one of them is not asked there.
const PORTS: [&str; 2] = ["admin", "prometheus"];

/// The `PodMonitor` of a platform, if it asks for one.
#[must_use]
pub(super) fn build(platform: &Platform) -> Option<DynamicObject> {
    let monitor = platform.settings.pod_monitor.as_ref()?;
    let endpoint = |port: &str| {
        let mut endpoint = Map::from_iter([("port".to_owned(), json!(port)), ("path".to_owned(), json!("/metrics"))]);
        endpoint.extend(monitor.interval.as_ref().map(|interval| ("interval".to_owned(), json!(interval))));
        Value::from(endpoint)
    };
    let mut metadata = labels::metadata_of_all(platform, NAME);
    // The operator's own come last, and cannot be written in a document.
    let own = metadata.labels.take().unwrap_or_default();
    metadata.labels = Some(monitor.labels.clone().into_iter().chain(own).collect());
    let spec = json!({
        "selector": labels::all_pods(platform),
        "podMetricsEndpoints": PORTS.map(endpoint),
    });
    Some(DynamicObject { types: Some(Optional::PodMonitor.types()), metadata, data: json!({ "spec": spec }) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;
    use crate::build::properties::{containers, platform, templates};

    fn monitoring(pod_monitor: &Value) -> Platform {
        platform("acme", &json!({"host": "a.example", "monitoring": {"podMonitor": pod_monitor}}))
    }

    #[test]
    fn it_asks_at_ports_that_containers_have() {
        let platform = monitoring(&json!({}));
        let resources = crate::build::build(&platform);
        let named: BTreeSet<String> = templates(&resources)
            .iter()
            .flat_map(|(_, template, _)| containers(template))
            .flat_map(|(container, _)| container.ports.into_iter().flatten())
            .filter_map(|port| port.name)
            .collect();
        assert!(PORTS.iter().all(|port| named.contains(*port)), "{named:?}");
        assert_eq!(resources.pod_monitors.len(), 1);
    }

    #[test]
    fn a_prometheus_finds_it_by_the_labels_of_the_document() {
        let monitor = build(&monitoring(&json!({"labels": {"release": "prometheus"}, "interval": "30s"}))).unwrap();
        let labels = monitor.metadata.labels.unwrap();
        assert_eq!(labels["release"], "prometheus");
        assert_eq!(labels[labels::INSTANCE], "acme");
        assert_eq!(monitor.data["spec"]["podMetricsEndpoints"][1]["interval"], "30s");
    }

    #[test]
    fn there_is_none_unless_it_is_asked_for() {
        assert_eq!(build(&platform("acme", &json!({"host": "a.example", "monitoring": {}}))), None);
    }
}
