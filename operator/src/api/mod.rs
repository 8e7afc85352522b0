//! The `ChatPlatform` resource: what people write (`spec`, a file per concern) and what they read (`status`).
//!
//! A doc comment of a field is its `kubectl explain` text: meaning, unit, default, effect of a change.

pub mod component;
pub mod data;
pub mod email;
pub mod exposure;
pub mod images;
pub mod network_policy;
pub mod quantity;
pub mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use component::{Chat, DeletionPolicy, Resources, Storage, Workload};
pub use data::{ExternalObjectStorage, ExternalServer, ManagedObjectStorage, MongoDb, ObjectStorage, RabbitMq, Redis};
pub use email::{Email, EmailTls, SecretRef};
pub use exposure::{Exposure, ExposureType, SelfSigned, Tls};
pub use images::{Images, PullPolicy, PullSecret};
pub use network_policy::{NetworkPolicy, NetworkPolicyMode};
pub use quantity::Quantity;
pub use status::{ChatPlatformStatus, ComponentStatus, Condition};

/// The longest name of a platform, so that the longest name made from it (a revision label of
/// `<name>-object-storage`) stays within 63 characters.
pub const NAME_MAX: usize = 32;

/// Only letters, digits and dashes, as in a DNS label; a Service name must begin with a letter (RFC 1035).
pub const NAME_RULE: &str =
    "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 32";

/// A real-time chat platform: databases, message broker, object store, services, web client and TLS edge.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "chatplatform.dev",
    version = "v1alpha1",
    kind = "ChatPlatform",
    doc = "A complete real-time chat platform, declared in one document.",
    namespaced,
    status = "ChatPlatformStatus",
    derive = "PartialEq",
    shortname = "chatp",
    category = "all",
    validation = Rule::new("(has(self.spec.mongodb) && has(self.spec.mongodb.external)) == (has(oldSelf.spec.mongodb) && has(oldSelf.spec.mongodb.external))").message("spec.mongodb.external cannot be set or removed once the platform exists, since data do not move by themselves: put it back as it was, or make a new platform"),
    validation = Rule::new("(has(self.spec.objectStorage) && has(self.spec.objectStorage.external)) == (has(oldSelf.spec.objectStorage) && has(oldSelf.spec.objectStorage.external))").message("spec.objectStorage.external cannot be set or removed once the platform exists, since files do not move by themselves: put it back as it was, or make a new platform"),
    validation = Rule::new("!has(oldSelf.spec.redis) || !has(oldSelf.spec.redis.replicas) || oldSelf.spec.redis.replicas == 1 || (has(self.spec.redis) && (has(self.spec.redis.replicas) || has(self.spec.redis.external)))").message("spec.redis.replicas cannot shrink, and 1 is what it is when it is left out: the data may be on the servers that would go, so put the old number back"),
    validation = Rule::new("!has(oldSelf.spec.rabbitmq) || !has(oldSelf.spec.rabbitmq.replicas) || oldSelf.spec.rabbitmq.replicas == 1 || (has(self.spec.rabbitmq) && (has(self.spec.rabbitmq.replicas) || has(self.spec.rabbitmq.external)))").message("spec.rabbitmq.replicas cannot shrink, and 1 is what it is when it is left out: queues may have their majority on the nodes that would go, so put the old number back"),
    validation = Rule::new(NAME_RULE).message(Message::Expression("'metadata.name is \"' + self.metadata.name + '\": use at most 32 lower-case letters, digits and dashes, beginning with a letter'".into())),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "What the platform is doing, in a word"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready", description = "Components that are ready, of all"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "Release that runs"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url", description = "Where people chat"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "MongoDB", type_ = "string", json_path = ".status.conditions[?(@.type=='MongoDBReady')].status", priority = 1),
    printcolumn(name = "Redis", type_ = "string", json_path = ".status.conditions[?(@.type=='RedisReady')].status", priority = 1),
    printcolumn(name = "RabbitMQ", type_ = "string", json_path = ".status.conditions[?(@.type=='RabbitMQReady')].status", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct ChatPlatformSpec {
    /// Release of the platform's services, such as 0.1.0.
    /// Default: the operator's own release. A lower one than runs now, or one that skips a minor release, is refused.
    /// Change: rolling restart of the services.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(r"self.matches('^[0-9]+\\.[0-9]+\\.[0-9]+$')").message(Message::Expression("'spec.version is \"' + self + '\": write a release as three numbers, such as 0.1.0'".into())))]
    pub version: Option<String>,

    /// Stop reconciling: what runs keeps running, and changes to this document wait.
    /// Default: false. Change: immediate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,

    /// What happens to the data when this document is deleted. Retain keeps the volumes and the Secrets without which they are
    /// unreadable, and a platform of the same name takes them up again; Delete removes both.
    /// Default: Retain. Change: immediate, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// Where the images come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,

    /// Host name at which people reach the platform, such as chat.example.com; a name alone, without scheme, port or path.
    /// It is the issuer of all tokens, so that a change makes everyone log in again.
    /// Change: rolling restart of the services and the edge.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')").message(Message::Expression("'spec.host is \"' + self + '\": write a lower-case host name such as chat.example.com, without scheme, port or path'".into())))]
    pub host: String,

    /// The certificate of the edge.
    /// Default: a certificate for spec.host from an authority of the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// How the edge is reached from outside the cluster.
    /// Default: not at all (a Service of type ClusterIP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,

    /// The edge: Nginx, which terminates TLS and upgrades WebSockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Workload>,

    /// The gateway service: routing, token verification, rate limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Workload>,

    /// The auth service: accounts, log-in, tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Workload>,

    /// The chat service: conversations, messages, Socket.IO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Chat>,

    /// The media service: uploads and downloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Workload>,

    /// The notification service: in-app notifications and e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<Workload>,

    /// The web client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<Workload>,

    /// The MongoDB replica set, which holds accounts, messages and metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<MongoDb>,

    /// The Redis server, which holds sessions, presence and rate limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,

    /// The RabbitMQ broker, which carries events between services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rabbitmq: Option<RabbitMq>,

    /// The S3 store, which holds uploaded files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_storage: Option<ObjectStorage>,

    /// The SMTP server for e-mail notifications.
    /// Default: no e-mail; notifications are shown in the client alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,

    /// Who reaches the pods of the platform, and whom they reach. It is the cluster's network that enforces it, where it can.
    /// Default: only whom the flow of data needs; the edge is reached by everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,
}

impl ChatPlatformSpec {
    /// Whether somebody else runs one of the servers.
    #[must_use]
    pub fn has_externals(&self) -> bool {
        self.mongodb.as_ref().is_some_and(|mongodb| mongodb.external.is_some())
            || self.redis.as_ref().is_some_and(|redis| redis.external.is_some())
            || self.rabbitmq.as_ref().is_some_and(|rabbitmq| rabbitmq.external.is_some())
            || self.object_storage.as_ref().is_some_and(|storage| storage.external.is_some())
    }

    /// Names of the Secrets that the document refers to and whose contents the operator must read.
    pub fn named_secrets(&self) -> impl Iterator<Item = &str> {
        fn connection(external: Option<&ExternalServer>) -> Option<&SecretRef> {
            external.map(|external| &external.connection_secret_ref)
        }
        let (mongodb, redis, rabbitmq) = (self.mongodb.as_ref(), self.redis.as_ref(), self.rabbitmq.as_ref());
        let references = [
            self.email.as_ref().and_then(|email| email.credentials_secret_ref.as_ref()),
            mongodb.and_then(|mongodb| connection(mongodb.external.as_ref())),
            redis.and_then(|redis| connection(redis.external.as_ref())),
            rabbitmq.and_then(|rabbitmq| connection(rabbitmq.external.as_ref())),
            self.object_storage
                .as_ref()
                .and_then(|storage| storage.external.as_ref())
                .map(|external| &external.credentials_secret_ref),
        ];
        let tls = self.tls.as_ref().and_then(|tls| tls.secret_name.as_deref());
        tls.into_iter().chain(references.into_iter().flatten().map(|reference| reference.name.as_str()))
    }
}

/// The `CustomResourceDefinition` as YAML, as `crds/chatplatform.yaml` holds it.
///
/// # Errors
/// Never for the types above; a type that has no YAML form would.
pub fn definition() -> Result<String, serde_yaml::Error> {
    let definition = <ChatPlatform as kube::CustomResourceExt>::crd();
    Ok(format!(
        "# Generated from operator/src/api by `cargo run -p operator --bin crdgen`; do not edit.\n{}",
        serde_yaml::to_string(&definition)?
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_definition_in_crds_is_the_one_the_types_give() {
        let kept = include_str!("../../../crds/chatplatform.yaml");
        assert!(
            kept == definition().unwrap(),
            "crds/chatplatform.yaml is stale: run `cargo run -p operator --bin crdgen > crds/chatplatform.yaml`"
        );
    }
}
