//! How often keys and credentials are replaced, and on whose word.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// How often signing keys are replaced where nothing is said of it.
pub(crate) const SIGNING_KEYS_EVERY: &str = "90d";
/// The same of message keys.
pub(crate) const MESSAGE_KEYS_EVERY: &str = "180d";
/// The same of credentials.
pub(crate) const CREDENTIALS_EVERY: &str = "90d";
/// The longest time between two rotations, in hours: ten years.
pub(crate) const EVERY_MOST_HOURS: i64 = 87_600;

/// How often keys and credentials are replaced. The old one goes only once nobody needs it; status.secrets tells of every step.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// The keys that sign access tokens. Nobody is logged out by a rotation, which takes about a quarter of an hour.
    /// Default: every 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_keys: Option<SigningKeysRotation>,

    /// The keys that wrap the keys of conversations. The keys of all conversations are wrapped anew; messages stay as they are.
    /// Default: every 180 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_keys: Option<MessageKeysRotation>,

    /// What services log in to MongoDB, Redis and RabbitMQ with, where those are the platform's own. Services connect anew while they run;
    /// old logins are refused in the end.
    /// Default: every 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialsRotation>,
}

/// When signing keys are replaced.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningKeysRotation {
    /// How old the key may grow, a number of hours or days such as 720h or 90d, at most 3650d. It is replaced within the last tenth of that
    /// time, each platform at another moment.
    /// Default: 90d. Change: nothing restarts; a key that is too old by then is replaced at once.
    #[schemars(length(max = 6))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::every())]
    pub every: Option<String>,

    /// A higher number replaces the key now. It cannot be lowered.
    /// Default: 0. Change: nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::revision())]
    pub revision: Option<i32>,

    /// Whether a higher revision also drops the old keys at once, for when one of them has become known. That costs: every access token is
    /// refused from then on until its holder refreshes it, and log-ins may fail until every pod has the new key, within two minutes.
    /// Without a higher revision it does nothing.
    /// Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoke: bool,
}

/// When credentials are replaced.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsRotation {
    /// How old they may grow, a number of hours or days such as 720h or 90d, at most 3650d. They are replaced within the last tenth of that
    /// time, each platform at another moment.
    /// Default: 90d. Change: nothing restarts; those that are too old by then are replaced at once.
    #[schemars(length(max = 6))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::every())]
    pub every: Option<String>,

    /// A higher number replaces them now. It cannot be lowered.
    /// Default: 0. Change: nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::revision())]
    pub revision: Option<i32>,
}

/// When message keys are replaced. None can be dropped before everything is wrapped by the new one: what it wraps would be lost.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageKeysRotation {
    /// How old the key may grow, a number of hours or days such as 720h or 90d, at most 3650d. It is replaced within the last tenth of that
    /// time, each platform at another moment.
    /// Default: 180d. Change: nothing restarts; a key that is too old by then is replaced at once.
    #[schemars(length(max = 6))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::every())]
    pub every: Option<String>,

    /// A higher number replaces the key now. It cannot be lowered.
    /// Default: 0. Change: nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::revision())]
    pub revision: Option<i32>,
}
