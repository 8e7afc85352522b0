//! Where images come from.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Where images come from. Change: rolling restart of everything.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    /// A registry, with a path if need be, that holds all images under their usual names: with registry.example.com/mirror,
    /// chatplatform/auth:0.1.0 comes from registry.example.com/mirror/chatplatform/auth:0.1.0 and MongoDB from
    /// registry.example.com/mirror/library/mongo. At most 255 characters. Default: docker.io. Change: rolling restart of everything.
    #[schemars(length(max = 255))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(r"self.matches('^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*/?$')").message("write a host with an optional port and path, such as registry.example.com/mirror, without scheme and tag"))]
    pub registry: Option<String>,

    /// When nodes pull an image: Always at every start of a container, IfNotPresent when the node has none of that name, Never where
    /// someone has put all images on the nodes. Default: IfNotPresent. Change: rolling restart of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,

    /// Secrets of type kubernetes.io/dockerconfigjson in the platform's namespace, by which nodes log in to the registry; at most 16, each
    /// once. Default: none. Change: rolling restart of everything.
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<PullSecret>,
}

/// When nodes pull an image: Always at every start of a container, IfNotPresent when the node has none of that name, Never where
/// someone has put all images on the nodes.
/// Default: IfNotPresent. Change: rolling restart of everything.
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
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullSecret {
    /// Name of the Secret, at most 253 characters.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("a Secret in the platform's namespace"))]
    pub name: String,
}
