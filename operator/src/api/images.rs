//! Where images come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where images come from. Change: rolling restart of everything.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    /// A registry, with a path if need be, that holds all images under their usual names: with registry.example.com/mirror,
    /// chatplatform/auth:0.1.0 comes from registry.example.com/mirror/chatplatform/auth:0.1.0 and MongoDB from
    /// registry.example.com/mirror/library/mongo. Default: docker.io.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,

    /// When nodes pull an image. Default: IfNotPresent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,

    /// Secrets of type kubernetes.io/dockerconfigjson in the platform's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<PullSecret>,
}

/// When nodes pull an image.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum PullPolicy {
    /// At every start of a container.
    Always,
    /// When the node has none of that name.
    #[default]
    IfNotPresent,
    /// Never: someone has put them on the nodes.
    Never,
}

impl PullPolicy {
    /// The word Kubernetes uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// A Secret that nodes log in to a registry with.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullSecret {
    /// Name of the Secret.
    pub name: String,
}
