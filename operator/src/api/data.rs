//! The servers that hold the platform's data.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::component::{Resources, Storage};
use super::email::SecretRef;
use super::rules;

/// A MongoDB replica set: one of the platform's own, or somebody else's.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.external) || !(has(self.members) || has(self.storage) || has(self.resources) || has(self.version))").message("spec.mongodb.external excludes members, storage, resources and version, which describe a set of the platform's own: leave them out"))]
pub struct MongoDb {
    /// Members of the replica set: 1, 3, 5 or 7. An odd number, because a majority must be able to elect a primary.
    /// Default: 1. Change: members are added or removed one at a time, each once the others are healthy; what is written meanwhile is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self in [1, 3, 5, 7]").message("spec.mongodb.members takes 1, 3, 5 or 7, since only an odd number always has a majority: write one of these"))]
    pub members: Option<i32>,

    /// Volume of each member, which holds all that it stores. Default: 2Gi of the cluster's default class.
    /// Change: volumes are enlarged in place, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// CPU and memory of each member. Its cache is half of the limit of memory above the first GiB.
    /// Default: a request of 50m and 200Mi, a limit of 512Mi.
    /// Change: members restart one at a time, the primary last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Version of the server, three numbers such as 6.0.5. Within 6.0, 7.0 or 8.0 any patch; from one of them only to the next, never back.
    /// Default: 6.0.5. Change: members restart one at a time, the primary last; then the set's feature compatibility version is raised.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(r"self.matches('^(6|7|8)[.]0[.][0-9]+$')").message("write a patch of 6.0, 7.0 or 8.0, such as 6.0.5"))]
    pub version: Option<String>,

    /// A replica set that somebody else runs: nothing is deployed, and its users are not touched. The Secret holds uri (a connection
    /// string whose user may read and write the databases auth, chat, media and notification) and, where the set has an authority of
    /// its own, ca.crt. It excludes all other fields of spec.mongodb.
    /// Default: none, the platform has a set of its own. Change: it can neither be set nor removed once the platform exists, since data do
    /// not move by themselves; another Secret, or another content, restarts the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalServer>,
}

/// Redis: servers of the platform's own, or somebody else's.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.external) || !(has(self.replicas) || has(self.storage) || has(self.resources))").message("spec.redis.external excludes replicas, storage and resources, which describe servers of the platform's own: leave them out"))]
pub struct Redis {
    /// Servers: 1, or 3 of which one is master and Sentinel replaces it within seconds when it is lost.
    /// Default: 1. It can grow and not shrink. Change: the services that use it restart, one pod at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self in [1, 3]").message("spec.redis.replicas takes 1 or 3, since Sentinel needs three to decide: write one of these"))]
    pub replicas: Option<i32>,

    /// Volume of each server, for its append-only file. Default: 512Mi of the cluster's default class.
    /// Change: volumes are enlarged in place, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// CPU and memory of each server. Default: a request of 20m and 32Mi, a limit of 128Mi. Change: rolling restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// A Redis that somebody else runs: nothing is deployed. The Secret holds url, such as rediss://user:password@host:6379/0 or
    /// redis+sentinel://user:password@host:26379,host:26379/master/0, and, where it has an authority of its own, ca.crt. It excludes all
    /// other fields of spec.redis. Default: none, the platform has servers of its own.
    /// Change: the services restart, and everyone logs in again, as sessions are not taken along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalServer>,
}

/// A RabbitMQ broker: one of the platform's own, or somebody else's.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.external) || !(has(self.replicas) || has(self.storage) || has(self.resources))").message("spec.rabbitmq.external excludes replicas, storage and resources, which describe a broker of the platform's own: leave them out"))]
pub struct RabbitMq {
    /// Nodes of the broker: 1, 3 or 5. An odd number, because a queue is kept by a majority of nodes.
    /// Default: 1. It can grow and not shrink. Change: nodes join one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self in [1, 3, 5]").message("spec.rabbitmq.replicas takes 1, 3 or 5, since only an odd number always has a majority: write one of these"))]
    pub replicas: Option<i32>,

    /// Volume of each node, for messages that wait. Default: 1Gi of the cluster's default class.
    /// Change: volumes are enlarged in place, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// CPU and memory of each node. Default: a request of 50m and 160Mi, a limit of 512Mi. Change: nodes restart one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// A broker that somebody else runs: nothing is deployed, and its users are not touched. The Secret holds uri, such as
    /// amqps://user:password@host:5671/vhost, and, where it has an authority of its own, ca.crt. It excludes all other fields of
    /// spec.rabbitmq. Default: none, the platform has a broker of its own.
    /// Change: the services restart; events that still wait in the old broker are not taken along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalServer>,
}

/// An S3 store: one of the platform's own, or somebody else's.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.managed) && has(self.external))").message("spec.objectStorage takes one of managed and external: leave one out"))]
pub struct ObjectStorage {
    /// A store of the platform's own, one pod with one volume. It excludes external. Default: this, with 5Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedObjectStorage>,

    /// A bucket that somebody else keeps. It excludes managed. Default: none, the platform has a store of its own.
    /// Change: it can neither be set nor removed once the platform exists, since files do not move by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalObjectStorage>,
}

/// An S3 store that the operator runs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedObjectStorage {
    /// Volume of the store, for all uploaded files. Default: 5Gi of the cluster's default class.
    /// Change: the volume is enlarged in place, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// CPU and memory of the store. Default: a request of 20m and 64Mi, a limit of 256Mi.
    /// Change: restart, during which files can be neither sent nor fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// A bucket of an S3 service that somebody else runs. It is tried by writing, reading and deleting a small object.
/// Change: rolling restart of the media service.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalObjectStorage {
    /// URL of the service, such as https://s3.eu-central-1.amazonaws.com, without path and bucket; at most 512 characters.
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::base_url("https://s3.example.com"))]
    pub endpoint: String,

    /// Region of the bucket, at most 64 letters, digits, dashes and underscores. Default: us-east-1, which most services that are not
    /// Amazon's take. Change: rolling restart of the media service.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::region())]
    pub region: Option<String>,

    /// Name of the bucket, which must exist: 3 to 63 lower-case letters, digits, dots and dashes.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::bucket())]
    pub bucket: String,

    /// Whether the bucket is named in the path (https://host/bucket) and not in the host (https://bucket.host). Default: false.
    /// Change: rolling restart of the media service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,

    /// Secret in the same namespace with the keys accessKeyId and secretAccessKey. Change: rolling restart of the media service.
    pub credentials_secret_ref: SecretRef,

    /// URL under which browsers reach the service, where it differs from endpoint; without path, at most 512 characters.
    /// Default: endpoint. Change: rolling restart of the media service.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::base_url("https://files.example.com"))]
    pub public_url: Option<String>,
}

/// A server that somebody else runs.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalServer {
    /// Secret in the same namespace that says where the server is and how to log in.
    pub connection_secret_ref: SecretRef,
}
