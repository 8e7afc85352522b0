//! What the operator reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What runs, and how well.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatPlatformStatus {
    /// The state in a word, for people: Progressing, Ready, Degraded, Failed, Paused, Hibernated, Invalid.
    /// Machines read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,

    /// Components that are ready, of all, such as 11/11.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,

    /// The release that serves, three numbers; while an upgrade is under way, the one before it. None until the platform is first ready.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Where people reach the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// The generation of the document that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The state for machines: Ready, Reconciling and Stalled as kstatus defines them, SpecValid, SecretsCurrent, Paused, and one for
    /// each part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// Pods of the chat service that there are, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_replicas: Option<i32>,

    /// The label selector of the pods of the chat service, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// One row for each component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub components: Vec<ComponentStatus>,

    /// One row for each kind of secret that rotates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<SecretStatus>,

    /// How backups went, with spec.backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
}

/// One aspect of the state (API conventions, "typical status properties").
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The aspect.
    #[serde(rename = "type")]
    pub type_: String,

    /// True, False or Unknown.
    pub status: String,

    /// Why, in a word that machines can match.
    pub reason: String,

    /// Why, and what to do next, for people.
    pub message: String,

    /// When the status last changed, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,

    /// The generation of the document that this condition speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// State of a component.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Name of the component, as in the labels of its objects.
    pub name: String,

    /// Pods that are ready.
    pub ready: i32,

    /// Pods that should be; where an autoscaler decides, as it has decided.
    pub desired: i32,

    /// Version of the image that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// What the server says of itself: members and primary, master and replicas, nodes and queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,

    /// What it waits for, or what is wrong and what to do. What keeps nothing from working, such as an autoscaler without metrics, is said
    /// here too, while the component counts as ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How backups went.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// When the last good backup was whole, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<String>,

    /// Its name, by which it is restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<String>,

    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_bytes: Option<i64>,

    /// Documents in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_documents: Option<i64>,

    /// When a backup last failed for good, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<String>,

    /// Why it failed, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

/// How far the rotation of a kind of secret is.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// The kind, as in spec.rotation.
    pub name: String,

    /// Number of the generation in use; the first is 1.
    pub generation: i32,

    /// Current, or the step that a rotation is at: Spread (the new one is there, and all are to accept it), Switch (all do, and caches are to
    /// have it), Prove (the new one is in use, and all are to use it), Retire (all do, and what the old one made is to end), Refuse (the old
    /// one is gone, and nobody is to accept it any more).
    pub state: String,

    /// When the generation in use came to be used, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub rotated_at: String,

    /// When it is due to be replaced, RFC 3339; none while it is being replaced.
    #[schemars(extend("format" = "date-time"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<String>,

    /// Before when the next step is not taken, RFC 3339, where that is known.
    #[schemars(extend("format" = "date-time"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,

    /// What the rotation waits for, and who still uses or accepts the old generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
