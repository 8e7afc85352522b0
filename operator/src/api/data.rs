//! The servers that hold the platform's data.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::component::{Resources, Storage};

/// A MongoDB replica set.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MongoDb {
    /// Members of the replica set: 1, 3, 5 or 7. An odd number, because a majority must be able to elect a primary.
    /// Default: 1. Fixed once created, in this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self in [1, 3, 5, 7]").message("spec.mongodb.members takes 1, 3, 5 or 7, since only an odd number always has a majority: write one of these"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.mongodb.members is fixed once created, in this release: put the old number back"))]
    pub members: Option<i32>,

    /// Volume of each member. Default: 2Gi of the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// CPU and memory of a member. Default: 50m and 200Mi, at most 512Mi. Change: rolling restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// A Redis server.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// Volume of the append-only file. Default: 512Mi of the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// CPU and memory. Default: 20m and 32Mi, at most 128Mi. Change: restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// A RabbitMQ broker.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RabbitMq {
    /// Nodes of the broker. Default: 1, the only value allowed in this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == 1").message("this release runs one RabbitMQ node: write 1 or leave spec.rabbitmq.replicas out"))]
    pub replicas: Option<i32>,

    /// Volume of each node. Default: 1Gi of the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// CPU and memory of a node. Default: 50m and 160Mi, at most 512Mi. Change: restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// An S3 store.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStorage {
    /// A store of the platform's own. Default: one with 5Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedObjectStorage>,
}

/// An S3 store that the operator runs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedObjectStorage {
    /// Volume of the store. Default: 5Gi of the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// CPU and memory. Default: 20m and 64Mi, at most 256Mi. Change: restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}
