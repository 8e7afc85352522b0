//! Who may connect to the platform's pods, and to whom they may connect.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The NetworkPolicies of the platform. Change: immediate, nothing restarts.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Isolated or Open. Default: Isolated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<NetworkPolicyMode>,
}

/// Isolated (each pod reaches, and is reached by, only whom it has to do with) or Open (the operator makes no NetworkPolicy, and removes
/// those it has made). What Isolated closes can be opened by NetworkPolicies of your own, since they add up.
/// Default: Isolated. Change: immediate, nothing restarts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum NetworkPolicyMode {
    /// Closed to everybody who has nothing to do with them.
    #[default]
    Isolated,
    /// Open to everybody.
    Open,
}
