//! What the document says of pods, laid over what the operator says of them.

use k8s_openapi::api::core::v1::{PodTemplateSpec, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::validate::PodOverrides;

/// A template with labels and annotations added, rules of placement in the operator's place, and the rest added. The names of the
/// operator's own labels and annotations are refused before.
pub(super) fn over(mut template: PodTemplateSpec, pods: &PodOverrides, own: &LabelSelector) -> PodTemplateSpec {
    let PodOverrides { labels, annotations, node_selector, tolerations, affinity, spread, priority_class } = pods;
    if let Some(metadata) = &mut template.metadata {
        metadata.labels.get_or_insert_default().extend(labels.clone());
        if !annotations.is_empty() {
            metadata.annotations.get_or_insert_default().extend(annotations.clone());
        }
    }
    if let Some(pod) = &mut template.spec {
        pod.node_selector = (!node_selector.is_empty()).then(|| node_selector.clone());
        pod.tolerations = (!tolerations.is_empty()).then(|| tolerations.clone());
        pod.priority_class_name.clone_from(priority_class);
        if affinity.is_some() {
            pod.affinity.clone_from(affinity);
        }
        if let Some(spread) = spread {
            // The API server keeps no empty list, which would then be missing time and again.
            let spread = spread.iter().map(|constraint| counting(constraint, own)).collect::<Vec<_>>();
            pod.topology_spread_constraints = (!spread.is_empty()).then_some(spread);
        }
    }
    template
}

/// A constraint that counts the component's pods where it says nothing else. Kubernetes would count none.
fn counting(constraint: &TopologySpreadConstraint, own: &LabelSelector) -> TopologySpreadConstraint {
    let selector = constraint.label_selector.clone().unwrap_or_else(|| own.clone());
    TopologySpreadConstraint { label_selector: Some(selector), ..constraint.clone() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use crate::build::build;
    use crate::build::properties::platform;

    /// The pods of the web client with this as `podTemplate`.
    fn template(overrides: &Value) -> Value {
        let spec = json!({"host": "a.example", "web": {"podTemplate": overrides}});
        let deployments = build(&platform("acme", &spec)).deployments;
        let web =
            deployments.iter().find(|deployment| deployment.metadata.name.as_deref() == Some("acme-web")).unwrap();
        json!(web.spec.clone().unwrap().template)
    }

    #[test]
    fn labels_and_annotations_are_added_to_the_operators_own() {
        let default = template(&json!({}));
        let added = template(&json!({"labels": {"team": "blue"}, "annotations": {"example.com/scrape": "true"}}));
        for (own, value) in default["metadata"]["labels"].as_object().unwrap() {
            assert_eq!(added["metadata"]["labels"][own], *value);
        }
        assert_eq!(added["metadata"]["labels"]["team"], "blue");
        let annotations = added["metadata"]["annotations"].as_object().unwrap();
        assert_eq!(annotations["example.com/scrape"], "true");
        assert!(annotations.contains_key("chatplatform.dev/config-digest"), "{annotations:?}");
        assert_eq!(added["spec"], default["spec"]);
    }

    #[test]
    fn placement_is_added_and_leaves_the_default_rules_alone() {
        let toleration = json!({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"});
        let placed = template(&json!({
            "nodeSelector": {"pool": "chat"},
            "tolerations": [toleration],
            "priorityClassName": "high",
        }));
        assert_eq!(placed["spec"]["nodeSelector"], json!({"pool": "chat"}));
        assert_eq!(placed["spec"]["tolerations"], json!([toleration]));
        assert_eq!(placed["spec"]["priorityClassName"], "high");
        let default = template(&json!({}));
        for kept in ["affinity", "topologySpreadConstraints"] {
            assert_eq!(placed["spec"][kept], default["spec"][kept]);
        }
        assert!(default["spec"].get("nodeSelector").is_none() && default["spec"].get("tolerations").is_none());
    }

    #[test]
    fn affinity_and_spread_take_the_place_of_the_default() {
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]},
        ]}}});
        let spread = json!([{
            "maxSkew": 2, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        }]);
        let placed = template(&json!({"affinity": affinity, "topologySpreadConstraints": spread}));
        assert_eq!(placed["spec"]["affinity"], affinity);
        let constraint = &placed["spec"]["topologySpreadConstraints"][0];
        assert_eq!(constraint["maxSkew"], 2);
        // Without this no pod would be counted.
        let own = json!({"app.kubernetes.io/instance": "acme", "app.kubernetes.io/name": "web"});
        assert_eq!(constraint["labelSelector"]["matchLabels"], own);
        assert_eq!(placed["spec"]["topologySpreadConstraints"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn empty_rules_stand_for_none() {
        let placed = template(&json!({"affinity": {}, "topologySpreadConstraints": []}));
        assert_eq!(placed["spec"]["affinity"], json!({}));
        assert!(placed["spec"].get("topologySpreadConstraints").is_none());
    }

    #[test]
    fn pods_of_servers_are_not_changed_by_what_is_said_of_a_service() {
        let sets = |spec: &Value| {
            let sets = build(&platform("acme", spec)).stateful_sets;
            sets.into_iter().map(|set| set.spec.unwrap().template.spec.unwrap().affinity).collect::<Vec<_>>()
        };
        let spec = json!({"host": "a.example", "chat": {"podTemplate": {"affinity": {}}}});
        assert_eq!(sets(&spec), sets(&json!({"host": "a.example"})));
    }
}
