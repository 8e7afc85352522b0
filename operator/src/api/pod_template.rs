//! What pods have beyond what the operator gives them, and where they run.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::rules;

/// What pods have beyond what the operator gives them, and where they run. Change: rolling restart.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels of the pods, besides the operator's own, which cannot be changed; at most 64. Names and values of at most 63 letters, digits,
    /// dashes, underscores and dots, the name with a domain before it if need be.
    /// Default: none. Change: rolling restart.
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = rules::not_ours("label"), validation = rules::label_values())]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the pods, besides the operator's own, which cannot be changed; at most 64, with names such as example.com/scrape.
    /// Default: none. Change: rolling restart.
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 16384}))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = rules::not_ours("annotation"))]
    pub annotations: BTreeMap<String, String>,

    /// Labels that a node must have for the pods to run on it; at most 64.
    /// Default: none, so that any node will do. Change: rolling restart.
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = rules::label_values())]
    pub node_selector: BTreeMap<String, String>,

    /// Taints of nodes that do not keep the pods away; at most 32. Default: none. Change: rolling restart.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,

    /// Rules about nodes, and about pods on them, in Kubernetes' own form: `kubectl explain pod.spec.affinity` tells of it. It takes the
    /// place of the default as a whole; {} stands for no rules at all.
    /// Default: pods of the component rather stand on different nodes. Change: rolling restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,

    /// How evenly the pods are spread over zones, nodes or the like; at most 8, each topologyKey once for each whenUnsatisfiable. They take
    /// the place of the default as a whole; [] stands for none at all.
    /// Default: pods of the component rather stand in different zones. Change: rolling restart.
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["topologyKey", "whenUnsatisfiable"]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,

    /// Name of a PriorityClass: where room is short, pods of a lower class make way. At most 253 characters.
    /// Default: the cluster's default class, if it has one. Change: rolling restart.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::object_name("a PriorityClass of the cluster, or leave priorityClassName out"))]
    pub priority_class_name: Option<String>,
}

/// A taint that does not keep pods away.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')").message("a toleration without a key takes every taint, which needs operator Exists: write a key, or the operator").field_path(".key"))]
#[x_kube(validation = Rule::new("!has(self.value) || self.value == '' || !has(self.operator) || self.operator != 'Exists'").message("operator Exists takes any value: leave value out, or write operator Equal").field_path(".value"))]
#[x_kube(validation = Rule::new("!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')").message("only effect NoExecute makes pods leave: write it, or leave tolerationSeconds out").field_path(".tolerationSeconds"))]
pub struct Toleration {
    /// The taint's key, at most 317 characters. Default: every key, which needs operator Exists.
    #[schemars(length(max = 317))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,

    /// Equal (the taint has this value) or Exists (whatever its value). Default: Equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,

    /// The taint's value, at most 63 characters; only with operator Equal. Default: none.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,

    /// What the taint does: NoSchedule, PreferNoSchedule or NoExecute. Default: whatever it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TolerationEffect>,

    /// How long a pod stays on a node that gets the taint, in seconds; only with effect NoExecute. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a taint's value is compared: Equal, or Exists for whatever it is. Default: Equal.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TolerationOperator {
    /// It is this value.
    #[default]
    Equal,
    /// It is whatever it is.
    Exists,
}

impl TolerationOperator {
    /// The word Kubernetes uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "Equal",
            Self::Exists => "Exists",
        }
    }
}

/// What a taint does to pods that do not tolerate it: NoSchedule, PreferNoSchedule or NoExecute. Default: whatever it does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TolerationEffect {
    /// None comes.
    NoSchedule,
    /// None comes as long as there is another node.
    PreferNoSchedule,
    /// None comes, and those that are there leave.
    NoExecute,
}

impl TolerationEffect {
    /// The word Kubernetes uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// How evenly pods are spread.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpreadConstraint {
    /// How many pods more than the place with the fewest any other may have, 1 to 100.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 100").message("write a number of pods from 1 to 100"))]
    pub max_skew: i32,

    /// The label of nodes whose value names a place, such as topology.kubernetes.io/zone or kubernetes.io/hostname; 1 to 317 characters.
    #[schemars(length(min = 1, max = 317))]
    pub topology_key: String,

    /// What becomes of a pod that would make it less even: DoNotSchedule (it waits) or ScheduleAnyway (it runs all the same).
    pub when_unsatisfiable: WhenUnsatisfiable,

    /// Which pods are counted, in Kubernetes' own form: `kubectl explain pod.spec.topologySpreadConstraints.labelSelector` tells of it.
    /// Default: the pods of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
}

/// What becomes of a pod that would make the spread less even: DoNotSchedule (it waits) or ScheduleAnyway (it runs all the same).
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum WhenUnsatisfiable {
    /// It waits.
    DoNotSchedule,
    /// It runs all the same.
    ScheduleAnyway,
}

impl WhenUnsatisfiable {
    /// The word Kubernetes uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DoNotSchedule => "DoNotSchedule",
            Self::ScheduleAnyway => "ScheduleAnyway",
        }
    }
}

/// `affinity` of a pod, as it was written. Its fields are Kubernetes' own, and so the schema below has no texts of its own for them, which
/// would stand in the definition once for every component.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Affinity(pub Map<String, Value>);

impl JsonSchema for Affinity {
    fn schema_name() -> Cow<'static, str> {
        "Affinity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let node_term =
            object(&json!({"matchExpressions": list(&requirement()), "matchFields": list(&requirement())}), &[]);
        let node_preferred = weighted("preference", &node_term);
        let node_required = object(&json!({"nodeSelectorTerms": list(&node_term)}), &["nodeSelectorTerms"]);
        let pod_term = object(
            &json!({
                "labelSelector": selector(),
                "matchLabelKeys": words(),
                "mismatchLabelKeys": words(),
                "namespaceSelector": selector(),
                "namespaces": words(),
                "topologyKey": {"type": "string"},
            }),
            &["topologyKey"],
        );
        let rules = |preferred: &Value, required: &Value| {
            object(
                &json!({
                    "preferredDuringSchedulingIgnoredDuringExecution": list(preferred),
                    "requiredDuringSchedulingIgnoredDuringExecution": required,
                }),
                &[],
            )
        };
        let of_pods = rules(&weighted("podAffinityTerm", &pod_term), &list(&pod_term));
        json_schema!({
            "type": "object",
            "properties": {
                "nodeAffinity": rules(&node_preferred, &node_required),
                "podAffinity": of_pods,
                "podAntiAffinity": of_pods,
            },
        })
    }
}

/// `labelSelector` of a pod's constraint, as it was written.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub struct LabelSelector(pub Map<String, Value>);

impl JsonSchema for LabelSelector {
    fn schema_name() -> Cow<'static, str> {
        "LabelSelector".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let selector = selector();
        json_schema!({"type": "object", "properties": selector["properties"]})
    }
}

fn object(properties: &Value, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

fn words() -> Value {
    list(&json!({"type": "string"}))
}

/// A preference, which counts as much as its weight.
fn weighted(term: &str, schema: &Value) -> Value {
    let properties =
        json!({term: schema, "weight": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 100}});
    object(&properties, &[term, "weight"])
}

fn selector() -> Value {
    let labels = json!({"type": "object", "additionalProperties": {"type": "string"}});
    object(&json!({"matchExpressions": list(&requirement()), "matchLabels": labels}), &[])
}

/// What a label's value must be. Nodes can be compared in two more ways than pods, which the API server says of pods.
fn requirement() -> Value {
    object(&json!({"key": {"type": "string"}, "operator": {"type": "string"}, "values": words()}), &["key", "operator"])
}
