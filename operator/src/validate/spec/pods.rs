//! What pods have beyond what the operator gives them, and where they run.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Checker, path};
use crate::api::{self, TolerationEffect, TolerationOperator};
use crate::build::{Component, labels};
use crate::validate::notation;
use crate::validate::platform::PodOverrides;

impl Checker<'_> {
    pub(super) fn pods(&mut self, component: Component, template: Option<api::PodTemplate>) -> PodOverrides {
        let Some(template) = template else { return PodOverrides::default() };
        let field = format!("{}.podTemplate", path(component));
        self.labels(&format!("{field}.labels"), &template.labels);
        self.not_ours(&format!("{field}.labels"), "label", &template.labels);
        self.annotations(&format!("{field}.annotations"), &template.annotations);
        self.not_ours(&format!("{field}.annotations"), "annotation", &template.annotations);
        self.labels(&format!("{field}.nodeSelector"), &template.node_selector);
        if let Some(class) = &template.priority_class_name {
            let what = "a PriorityClass of the cluster, or leave priorityClassName out";
            self.object_name(format!("{field}.priorityClassName"), class, what);
        }
        PodOverrides {
            labels: template.labels,
            annotations: template.annotations,
            node_selector: template.node_selector,
            tolerations: self.tolerations(&format!("{field}.tolerations"), &template.tolerations),
            affinity: template
                .affinity
                .and_then(|affinity| self.of_kubernetes::<Affinity>(format!("{field}.affinity"), affinity.0)),
            spread: template
                .topology_spread_constraints
                .map(|constraints| self.spread(&format!("{field}.topologySpreadConstraints"), constraints)),
            priority_class: template.priority_class_name,
        }
    }

    pub(super) fn labels(&mut self, field: &str, labels: &BTreeMap<String, String>) {
        if labels.len() > 64 {
            self.fault(field, format!("{} are too many: write at most 64", labels.len()));
        }
        for (name, value) in labels {
            if !notation::is_annotation(name) {
                let cure = "write at most 63 letters, digits, dashes, underscores and dots, with a domain before them if need be, such as example.com/team";
                self.fault(field, format!("{name:?} is no name of a label: {cure}"));
            }
            if !notation::is_label_value(value) {
                let cure = "write values of at most 63 letters, digits, dashes, underscores and dots, with a letter or digit at both ends";
                self.fault(field, format!("{value:?} is no value of {name}: {cure}"));
            }
        }
    }

    /// What the operator finds its own pods by, and knows them by.
    pub(super) fn not_ours(&mut self, field: &str, what: &str, named: &BTreeMap<String, String>) {
        let is_ours = |name: &&String| labels::OWN.contains(&name.as_str()) || name.starts_with(labels::DOMAIN);
        for name in named.keys().filter(is_ours) {
            let cure = format!("leave it out, or give the {what} another name");
            let ours = format!("{} and all that begin with {}", labels::OWN.join(", "), labels::DOMAIN);
            self.fault(field, format!("{name:?} cannot be set, since {ours} are the operator's own: {cure}"));
        }
    }

    fn tolerations(&mut self, field: &str, tolerations: &[api::Toleration]) -> Vec<Toleration> {
        if tolerations.len() > 32 {
            self.fault(field, format!("{} are too many: write at most 32", tolerations.len()));
        }
        let mut all = Vec::new();
        for (place, toleration) in tolerations.iter().enumerate() {
            let field = format!("{field}[{place}]");
            let exists = toleration.operator == Some(TolerationOperator::Exists);
            if toleration.key.as_ref().is_none_or(String::is_empty) && !exists {
                let cure = "a toleration without a key takes every taint, which needs operator Exists: write a key, or the operator";
                self.fault(format!("{field}.key"), cure);
            }
            if let Some(value) = toleration.value.as_ref().filter(|value| exists && !value.is_empty()) {
                let cure = "operator Exists takes any value: leave value out, or write operator Equal";
                self.fault(format!("{field}.value"), format!("{value:?} says nothing, as {cure}"));
            }
            if toleration.toleration_seconds.is_some() && toleration.effect != Some(TolerationEffect::NoExecute) {
                let cure = "only effect NoExecute makes pods leave: write it, or leave tolerationSeconds out";
                self.fault(format!("{field}.tolerationSeconds"), cure);
            }
            all.push(Toleration {
                key: toleration.key.clone().filter(|key| !key.is_empty()),
                operator: toleration.operator.map(|operator| operator.as_str().into()),
                value: toleration.value.clone().filter(|value| !value.is_empty()),
                effect: toleration.effect.map(|effect| effect.as_str().into()),
                toleration_seconds: toleration.toleration_seconds,
            });
        }
        all
    }

    fn spread(
        &mut self,
        field: &str,
        constraints: Vec<api::TopologySpreadConstraint>,
    ) -> Vec<TopologySpreadConstraint> {
        if constraints.len() > 8 {
            self.fault(field, format!("{} are too many: write at most 8", constraints.len()));
        }
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        for (place, constraint) in constraints.into_iter().enumerate() {
            let field = format!("{field}[{place}]");
            self.within(format!("{field}.maxSkew"), constraint.max_skew, (1, 100), "of pods");
            let (key, otherwise) = (constraint.topology_key, constraint.when_unsatisfiable);
            if key.is_empty() {
                self.fault(
                    format!("{field}.topologyKey"),
                    "is empty: write a label of nodes, such as topology.kubernetes.io/zone",
                );
            }
            if !seen.insert((key.clone(), otherwise)) {
                let message =
                    format!("Duplicate value {key:?}: write each topologyKey once for each whenUnsatisfiable");
                self.fault(field.clone(), message);
            }
            let selector = constraint
                .label_selector
                .and_then(|selector| self.of_kubernetes::<LabelSelector>(format!("{field}.labelSelector"), selector.0));
            all.push(TopologySpreadConstraint {
                max_skew: constraint.max_skew,
                topology_key: key,
                when_unsatisfiable: otherwise.as_str().into(),
                label_selector: selector,
                ..TopologySpreadConstraint::default()
            });
        }
        all
    }

    /// What is written in Kubernetes' own form.
    fn of_kubernetes<T: DeserializeOwned>(&mut self, field: String, written: Map<String, Value>) -> Option<T> {
        let mut written = Value::Object(written);
        leave_out_nothing(&mut written);
        match serde_json::from_value(written) {
            Ok(read) => Some(read),
            Err(error) => {
                let cure = "write it as a pod has it, see `kubectl explain pod.spec.affinity`";
                self.fault(field, format!("cannot be read ({error}): {cure}"));
                None
            }
        }
    }
}

/// Takes out lists and labels without members. The API server does not keep them, so that they would be missing time and again.
fn leave_out_nothing(written: &mut Value) {
    match written {
        Value::Object(fields) => {
            fields.values_mut().for_each(leave_out_nothing);
            fields.retain(|name, field| {
                let is_nothing = field.as_array().is_some_and(Vec::is_empty)
                    || (name == "matchLabels" && field.as_object().is_some_and(Map::is_empty));
                !is_nothing
            });
        }
        Value::Array(members) => members.iter_mut().for_each(leave_out_nothing),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_api_server_would_not_keep_is_left_out() {
        let mut written = json!({
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [],
                "requiredDuringSchedulingIgnoredDuringExecution":
                    [{"topologyKey": "zone", "namespaceSelector": {"matchLabels": {}}, "namespaces": []}],
            },
        });
        leave_out_nothing(&mut written);
        // An empty selector is kept, and means every namespace.
        let kept = json!([{"topologyKey": "zone", "namespaceSelector": {}}]);
        assert_eq!(written, json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": kept}}));
    }
}
