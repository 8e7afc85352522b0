//! Who says what of an object: the record that the API server keeps of it, by field manager.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt as _;

use crate::FIELD_MANAGER;

/// The names of the Deployments of which the operator says how many pods they have, and nobody else.
pub(super) fn by_us_alone(deployments: &[Deployment]) -> BTreeSet<String> {
    let ours = deployments.iter().filter(|deployment| {
        let mut said = deployment.managed_fields().iter().filter(|entry| says_replicas(entry)).peekable();
        said.peek().is_some() && said.all(is_applied_by_us)
    });
    ours.map(Deployment::name_any).collect()
}

fn says_replicas(entry: &ManagedFieldsEntry) -> bool {
    entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
}

fn is_applied_by_us(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().is_none_or(str::is_empty)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn entry(manager: &str, operation: &str, subresource: &str, fields: &Value) -> Value {
        json!({
            "manager": manager, "operation": operation, "subresource": subresource,
            "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    }

    fn is_ours(entries: &[Value]) -> bool {
        let deployment = json!({"metadata": {"name": "acme-web", "managedFields": entries}});
        by_us_alone(&[serde_json::from_value(deployment).unwrap()]).contains("acme-web")
    }

    #[test]
    fn whoever_else_says_it_too_may_be_left_to_say_it() {
        let (replicas, template) = (json!({"f:spec": {"f:replicas": {}}}), json!({"f:spec": {"f:template": {}}}));
        let ours = entry(FIELD_MANAGER, "Apply", "", &json!({"f:spec": {"f:replicas": {}, "f:template": {}}}));
        let controllers =
            entry("kube-controller-manager", "Update", "status", &json!({"f:status": {"f:replicas": {}}}));
        assert!(is_ours(&[ours.clone(), controllers.clone()]));
        assert!(is_ours(&[ours.clone(), entry("kubectl", "Update", "", &template)]));
        for (manager, operation, subresource) in [
            ("kube-controller-manager", "Update", "scale"),
            ("kubectl", "Update", "scale"),
            ("chatplatform-operator-handover", "Apply", ""),
            (FIELD_MANAGER, "Update", "scale"),
        ] {
            let others = entry(manager, operation, subresource, &replicas);
            assert!(!is_ours(&[ours.clone(), others, controllers.clone()]), "{manager}");
        }
    }

    #[test]
    fn what_the_operator_does_not_say_it_cannot_stop_saying() {
        let ours = entry(FIELD_MANAGER, "Apply", "", &json!({"f:spec": {"f:template": {}}}));
        assert!(!is_ours(&[]));
        assert!(!is_ours(std::slice::from_ref(&ours)));
        assert!(!is_ours(&[ours, entry("kubectl", "Update", "scale", &json!({"f:spec": {"f:replicas": {}}}))]));
    }
}
