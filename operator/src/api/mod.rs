//! The `ChatPlatform` resource: what people write (`spec`, a file per concern) and what they read (`status`).
//!
//! A doc comment of a field is its `kubectl explain` text: meaning, unit, default, effect of a change.

mod autoscaling;
pub mod backup;
pub mod component;
pub mod data;
pub mod email;
pub mod exposure;
pub mod images;
pub mod monitoring;
pub mod network_policy;
mod pod_template;
pub mod push;
pub mod quantity;
pub mod reference;
pub mod rotation;
mod rules;
pub mod search;
pub mod settings;
pub mod status;
pub mod tracing;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::build::Component;
use crate::validate::MONGODB_VERSION;

pub use autoscaling::{Autoscaling, Behavior, ChatAutoscaling, PolicyType, ScalingPolicy, ScalingRules, SelectPolicy};
pub use backup::{Backup, BackupStorage};
pub use component::{Chat, DeletionPolicy, Resources, Storage, Workload};
pub use data::{ExternalObjectStorage, ExternalServer, ManagedObjectStorage, MongoDb, ObjectStorage, RabbitMq, Redis};
pub use email::{Email, EmailTls, SecretRef};
pub use exposure::{Exposure, ExposureType, IssuerRef, ParentRef, SelfSigned, Tls};
pub use images::{Images, PullPolicy, PullSecret};
pub use monitoring::{Monitoring, PodMonitor};
pub use network_policy::{NetworkPolicy, NetworkPolicyMode};
pub use pod_template::{
    Affinity, LabelSelector, PodTemplate, Toleration, TolerationEffect, TolerationOperator, TopologySpreadConstraint,
    WhenUnsatisfiable,
};
pub use push::Push;
pub use quantity::Quantity;
pub use rotation::{CredentialsRotation, MessageKeysRotation, Rotation, SigningKeysRotation};
pub(crate) use rules::{LEAST_MEMORY, LEAST_SIZE, SCHEDULE_CURE};
pub use search::{OpenSearch, Search, SearchBackend};
pub use settings::{Auth, Gateway, Media, Rate, RateLimits, Registration, RegistrationMode, Sessions};
pub use status::{BackupStatus, ChatPlatformStatus, ComponentStatus, Condition, SecretStatus};
pub use tracing::Tracing;

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
    scale(
        spec_replicas_path = ".spec.chat.replicas",
        status_replicas_path = ".status.chatReplicas",
        label_selector_path = ".status.selector"
    ),
    validation = rules::same_owner("mongodb", "data"),
    validation = rules::same_owner("objectStorage", "files"),
    validation = rules::never_fewer("redis", "the data may be on the servers that would go"),
    validation = rules::never_fewer("rabbitmq", "queues may have their majority on the nodes that would go"),
    validation = rules::never_lower("signingKeys"),
    validation = rules::never_lower("messageKeys"),
    validation = rules::never_lower("credentials"),
    validation = rules::never_smaller(Component::MongoDb),
    validation = rules::never_smaller(Component::Redis),
    validation = rules::never_smaller(Component::RabbitMq),
    validation = rules::never_smaller(Component::ObjectStorage),
    validation = rules::same_class(Component::MongoDb),
    validation = rules::same_class(Component::Redis),
    validation = rules::same_class(Component::RabbitMq),
    validation = rules::same_class(Component::ObjectStorage),
    validation = rules::no_skipped_series(MONGODB_VERSION),
    validation = rules::no_series_far_back(MONGODB_VERSION),
    validation = rules::no_upgrade_asleep(MONGODB_VERSION),
    validation = rules::same_policy_while_paused(),
    validation = rules::no_backup_of_others(),
    validation = rules::no_older_release(),
    validation = rules::no_skipped_release(),
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
    /// Release of the platform's services, three numbers such as 0.1.0. A lower one than serves now (status.version), or one that skips a
    /// minor release, is refused; an upgrade that is not whole yet may be taken back.
    /// Default: the release that serves, so that another operator restarts nothing; for a new platform the operator's own.
    /// Change: once all is well, the databases are migrated, and then the services restart one group after the other.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(format!("self.matches('{}')", rules::RELEASE)).message("write a release as three numbers, such as 0.1.0"))]
    pub version: Option<String>,

    /// Whether to stop reconciling: what runs keeps running, nothing is repaired, and changes to this document wait. Only deleting it does
    /// not; spec.deletionPolicy is then as it was when the pause began, and so cannot be changed during it.
    /// Default: false. Change: immediate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,

    /// Whether to scale everything to zero and keep the data: nobody can chat, and only volumes and Secrets remain to be paid for. The edge
    /// and the services stop first, then the servers. False again brings everything back in the sizes that this document says; what
    /// has grown meanwhile grows then. spec.mongodb.version cannot change while it is true.
    /// Default: false. Change: all pods stop in order, or all start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hibernated: bool,

    /// What happens to the data when this document is deleted. Retain keeps the volumes and the Secrets without which they are
    /// unreadable, and a platform of the same name takes them up again; Delete removes both.
    /// Default: Retain. Change: immediate, nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// Where the images come from. Default: docker.io. Change: rolling restart of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,

    /// Host name at which people reach the platform, such as chat.example.com; a name alone, without scheme, port or path, at most 253
    /// characters in labels of at most 63.
    /// It is the issuer of all tokens, so that a change makes everyone log in again.
    /// Change: rolling restart of the services and the edge.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?([.][a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$') && !self.matches('(^|[.])[0-9]+$')").message("write a lower-case host name such as chat.example.com, without scheme, port or path, and no address"))]
    pub host: String,

    /// The certificate of the edge: exactly one of the fields.
    /// Default: a certificate for spec.host from an authority of the operator's own.
    /// Change, also of the certificate itself: live at the edge within a minute, nothing restarts and no connection is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// How the edge is reached from outside the cluster.
    /// Default: not at all (a Service of type ClusterIP). Change: in place, nothing restarts; from or to the types Ingress and Gateway,
    /// rolling restart of the edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,

    /// The edge: Nginx, which terminates TLS and upgrades WebSockets. Default: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Workload>,

    /// The gateway service: routing, token verification, rate limits. Default: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,

    /// The auth service: accounts, log-in, tokens. Default: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,

    /// The chat service: conversations, messages, Socket.IO. Default: one pod.
    // Written into each document, and its replicas with it.
    #[schemars(extend("default" = {}))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Chat>,

    /// The media service: uploads and downloads. Default: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,

    /// The notification service: in-app notifications and e-mail. Default: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<Workload>,

    /// The web client. Default: one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<Workload>,

    /// The MongoDB replica set, which holds accounts, messages and metadata. Default: one member of the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<MongoDb>,

    /// Redis, which holds sessions, presence and rate limits. Default: one server of the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,

    /// The RabbitMQ broker, which carries events between services. Default: one node of the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rabbitmq: Option<RabbitMq>,

    /// The S3 store, which holds uploaded files. Default: one of the platform's own with 5Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_storage: Option<ObjectStorage>,

    /// The SMTP server for e-mail notifications.
    /// Default: no e-mail; notifications are shown in the client alone. Change: rolling restart of the notification service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,

    /// How often keys are replaced, and on whose word. Default: signing keys every 90 days, message keys every 180.
    /// Change: nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,

    /// Firebase Cloud Messaging, for push notifications to phones and browsers.
    /// Default: no push. Change: rolling restart of the notification service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Push>,

    /// What finds messages by their words: MongoDB, or an OpenSearch that somebody else runs.
    /// Default: MongoDB. Change: rolling restart of the chat service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,

    /// Who reaches the pods of the platform, and whom they reach. It is the cluster's network that enforces it, where it can.
    /// Default: only whom the flow of data needs; the edge is reached by everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,

    /// Who gathers the metrics of the platform's pods.
    /// Default: whoever finds the pods by itself. Change: nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,

    /// Backups of the MongoDB by a schedule. It needs a set of the platform's own.
    /// Default: none are made. Change: nothing restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,

    /// Where the services send traces of requests.
    /// Default: nowhere; their logs carry trace ids all the same. Change: rolling restart of the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
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
            self.push.as_ref().map(|push| &push.credentials_secret_ref),
            self.search
                .as_ref()
                .and_then(|search| search.open_search.as_ref())
                .and_then(|opensearch| opensearch.credentials_secret_ref.as_ref()),
            mongodb.and_then(|mongodb| connection(mongodb.external.as_ref())),
            redis.and_then(|redis| connection(redis.external.as_ref())),
            rabbitmq.and_then(|rabbitmq| connection(rabbitmq.external.as_ref())),
            self.object_storage
                .as_ref()
                .and_then(|storage| storage.external.as_ref())
                .map(|external| &external.credentials_secret_ref),
            self.backup.as_ref().map(|backup| &backup.object_storage.credentials_secret_ref),
        ];
        let tls = self.tls.as_ref().and_then(|tls| tls.secret_name.as_deref());
        tls.into_iter().chain(references.into_iter().flatten().map(|reference| reference.name.as_str()))
    }
}

impl ChatPlatform {
    /// Name of the Secret that cert-manager keeps the certificate of the edge in, where the document asks it to.
    #[must_use]
    pub fn issued_secret(&self) -> Option<String> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        self.spec.tls.as_ref()?.issuer_ref.as_ref().map(|_| format!("{name}-edge-tls-issued"))
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
            "crds/chatplatform.yaml is stale: run `cargo run -p operator --bin crdgen`"
        );
    }
}
