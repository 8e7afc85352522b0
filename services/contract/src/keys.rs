//! What a service says of the keys that it goes by, in `keys` of `/health` on its admin port: ids alone, never a key. Whoever rotates a key
//! ring goes by it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The ring of the keys that access tokens are signed with.
pub const SIGNING: &str = "signing";
/// The ring of the keys that the keys of conversations are wrapped by.
pub const MESSAGE: &str = "message";

/// What a connection to `MongoDB` logs in by: a ring whose keys are the generations of the service's credential.
pub const MONGODB: &str = "mongodb";
/// The same of Redis.
pub const REDIS: &str = "redis";
/// The same of `RabbitMQ`.
pub const RABBITMQ: &str = "rabbitmq";

/// What a process says of each ring that it has, by the ring's name.
pub type KeysInUse = BTreeMap<String, KeyUse>;

/// How a process uses the keys of a ring.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyUse {
    /// Id of the key that whatever is new is made with; none where the process only reads what others have made. Of credentials: what the
    /// newest connection has logged in by, or the next one will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Ids of the keys with which what was made can be read or verified. Of credentials: what connections that are still used have logged in
    /// by.
    #[serde(default)]
    pub accepted: Vec<String>,
    /// What is still stored under other keys than the current one, where the process knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredUnder>,
}

/// What is stored under other keys than the current one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredUnder {
    /// How many things, by the id of their key.
    pub counts: BTreeMap<String, u64>,
    /// How long ago they began to be counted, in seconds.
    pub seconds_ago: u64,
}
