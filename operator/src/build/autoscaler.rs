//! Autoscalers: how many pods of a component run where that depends on how much CPU they use, or on their connections.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::component::Component;
use super::labels;
use crate::validate::{Autoscaling, Platform};

/// The chat service's own metric of its connections, as a metrics adapter serves it.
const SOCKETS: &str = "chat_sockets";

/// A `HorizontalPodAutoscaler` of `autoscaling/v2`. What it wants and tells is kept as it is written: the types of all that one can go by
/// are many, and their code would be for one field of them.
#[derive(Clone, Debug, Deserialize, PartialEq, Resource, Serialize)]
#[resource(inherit = "v2::HorizontalPodAutoscaler")]
#[serde(rename_all = "camelCase")]
pub struct HorizontalPodAutoscaler {
    /// The group and version, which members of a list come without.
    #[serde(default = "api_version")]
    api_version: String,
    /// The kind.
    #[serde(default = "kind")]
    kind: String,
    /// Name, labels, owner.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it is to do.
    #[serde(default)]
    pub spec: Value,
    /// What it sees.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub status: Value,
}

impl HorizontalPodAutoscaler {
    /// Its condition `ScalingActive`, whether it can do anything; none as long as it has not looked.
    fn scaling_active(&self) -> Option<&Value> {
        let conditions = self.status.get("conditions")?.as_array()?;
        conditions.iter().find(|condition| condition["type"] == "ScalingActive")
    }

    /// Whether it is known to scale.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.scaling_active().is_some_and(|condition| condition["status"] == "True")
    }

    /// Why it does not scale, if it says so.
    #[must_use]
    pub fn complaint(&self) -> Option<&str> {
        let condition = self.scaling_active().filter(|condition| condition["status"] == "False")?;
        condition["message"].as_str().or_else(|| condition["reason"].as_str())
    }
}

fn api_version() -> String {
    HorizontalPodAutoscaler::api_version(&()).into_owned()
}

fn kind() -> String {
    HorizontalPodAutoscaler::kind(&()).into_owned()
}

/// One for each Deployment that does not say itself how many pods it has.
pub(super) fn build(platform: &Platform, deployments: &[Deployment]) -> Vec<HorizontalPodAutoscaler> {
    let scaled = deployments.iter().filter_map(|deployment| {
        let component = component(deployment)?;
        let workload = platform.workload(component)?;
        let autoscaling = workload.autoscaling.as_ref()?;
        let is_free = deployment.spec.as_ref().is_some_and(|spec| spec.replicas.is_none());
        is_free.then(|| autoscaler(platform, component, workload.replicas, autoscaling))
    });
    scaled.collect()
}

/// The fewest pods of a Deployment, if an autoscaler says how many there are; none in hibernation, when there are no pods.
#[must_use]
pub fn fewest(platform: &Platform, deployment: &Deployment) -> Option<i32> {
    let component = component(deployment)?;
    let workload = platform.workload(component)?;
    (workload.autoscaling.is_some() && platform.hibernation.runs(component)).then_some(workload.replicas)
}

fn component(deployment: &Deployment) -> Option<Component> {
    Component::from_name(deployment.metadata.labels.as_ref()?.get(labels::NAME)?)
}

fn autoscaler(
    platform: &Platform,
    component: Component,
    fewest: i32,
    autoscaling: &Autoscaling,
) -> HorizontalPodAutoscaler {
    let mut spec = json!({
        "scaleTargetRef": {
            "apiVersion": Deployment::api_version(&()),
            "kind": Deployment::kind(&()),
            "name": platform.names.object(component.name()),
        },
        "minReplicas": fewest,
        "maxReplicas": autoscaling.most,
        "metrics": [{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": autoscaling.cpu_percent}},
        }],
    });
    if let (Some(connections), Some(metrics)) = (autoscaling.connections, spec["metrics"].as_array_mut()) {
        let target = json!({"type": "AverageValue", "averageValue": connections.to_string()});
        metrics.push(json!({"type": "Pods", "pods": {"metric": {"name": SOCKETS}, "target": target}}));
    }
    if let Some(behavior) = &autoscaling.behavior {
        spec["behavior"] = json!(behavior);
    }
    HorizontalPodAutoscaler {
        api_version: api_version(),
        kind: kind(),
        metadata: labels::metadata(platform, component),
        spec,
        status: Value::Null,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::build::properties::platform;

    fn built(web: &Value) -> (Vec<HorizontalPodAutoscaler>, Vec<Option<i32>>) {
        let resources = crate::build::build(&platform("acme", &json!({"host": "a.example", "web": web})));
        let web = resources.deployments.iter().filter(|deployment| component(deployment) == Some(Component::Web));
        (resources.autoscalers, web.map(|deployment| deployment.spec.as_ref().unwrap().replicas).collect())
    }

    #[test]
    fn a_deployment_has_a_number_of_pods_or_an_autoscaler() {
        assert_eq!(built(&json!({"replicas": 3})), (vec![], vec![Some(3)]));
        let (autoscalers, replicas) = built(&json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5}}));
        assert_eq!(replicas, [None]);
        let [autoscaler] = autoscalers.as_slice() else { panic!("{autoscalers:?}") };
        assert_eq!(autoscaler.metadata.name.as_deref(), Some("acme-web"));
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "acme-web"});
        assert_eq!(autoscaler.spec["scaleTargetRef"], target);
        assert_eq!((&autoscaler.spec["minReplicas"], &autoscaler.spec["maxReplicas"]), (&json!(2), &json!(5)));
        assert_eq!(autoscaler.spec["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
        assert!(autoscaler.spec.get("behavior").is_none());
    }

    #[test]
    fn chat_goes_by_its_sockets_too_if_that_is_said() {
        let metrics = |autoscaling: Value| {
            let chat = json!({"host": "a.example", "chat": {"autoscaling": autoscaling}});
            let resources = crate::build::build(&platform("acme", &chat));
            resources.autoscalers[0].spec["metrics"].as_array().unwrap().clone()
        };
        assert_eq!(metrics(json!({"maxReplicas": 5})).len(), 1);
        let both = metrics(json!({"maxReplicas": 5, "targetConnections": 4000}));
        assert_eq!(both[0]["resource"]["name"], "cpu");
        let pods =
            json!({"metric": {"name": "chat_sockets"}, "target": {"type": "AverageValue", "averageValue": "4000"}});
        assert_eq!(both[1], json!({"type": "Pods", "pods": pods}));
    }

    #[test]
    fn behavior_is_handed_on_as_it_is_written() {
        let behavior = json!({
            "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]},
            "scaleDown": {"selectPolicy": "Disabled"},
        });
        let (autoscalers, _) = built(&json!({"autoscaling": {"maxReplicas": 5, "behavior": behavior}}));
        assert_eq!(autoscalers[0].spec["behavior"], behavior);
    }

    #[test]
    fn it_reads_as_a_member_of_a_list_and_is_written_with_its_kind() {
        let read: HorizontalPodAutoscaler =
            serde_json::from_value(json!({"metadata": {"name": "acme-web"}, "spec": {"maxReplicas": 5}})).unwrap();
        let written = json!(read);
        assert_eq!((&written["apiVersion"], &written["kind"]), (&json!("autoscaling/v2"), &json!(kind())));
        assert_eq!(written["spec"]["maxReplicas"], 5);
    }

    #[test]
    fn it_complains_only_once_it_has_looked_and_cannot_scale() {
        let says = |status: Value| {
            let (mut autoscalers, _) = built(&json!({"autoscaling": {"maxReplicas": 5}}));
            autoscalers[0].status = status;
            (autoscalers[0].is_active(), autoscalers[0].complaint().map(str::to_owned))
        };
        let condition = |status: &str| {
            json!({"conditions": [
                {"type": "AbleToScale", "status": "True", "message": "ready"},
                {"type": "ScalingActive", "status": status, "reason": "FailedGetResourceMetric", "message": "no metrics"},
            ]})
        };
        assert_eq!(says(Value::Null), (false, None));
        assert_eq!(says(condition("True")), (true, None));
        assert_eq!(says(condition("False")), (false, Some("no metrics".into())));
    }
}
