//! The platform as every later step sees it: nothing optional that has a default, nothing out of range.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::{Deserialize, Serialize};

use super::hibernation::Hibernation;
use super::upgrade::Upgrade;
use crate::api::{
    Behavior, DeletionPolicy, EmailTls, ExposureType, IssuerRef, NetworkPolicyMode, ParentRef, PodMonitor, PullPolicy,
    Quantity,
};
use crate::build::Component;
use crate::secrets::rotation::Progress;
use crate::secrets::{Externals, Material, Names};

/// The media service's own limit of a file.
const UPLOAD_DEFAULT_BYTES: u64 = 100 << 20;

/// A platform that can be built.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Its name, namespace and host, which all other names are made of.
    pub names: Names,
    /// The reference by which the cluster removes what it owns along with it.
    pub owner: OwnerReference,
    /// What happens to the data in the end.
    pub deletion_policy: DeletionPolicy,
    /// How much of it runs.
    pub hibernation: Hibernation,
    /// Whether pods are closed to those they have nothing to do with.
    pub network_policy: NetworkPolicyMode,
    /// Where the operator is, which has to reach the servers.
    pub operator_namespace: String,
    /// The release of the services, three numbers, that is wanted.
    pub version: String,
    /// The way there from another release.
    pub upgrade: Option<Upgrade>,
    /// Where images come from.
    pub images: Images,
    /// The host name that people use.
    pub host: String,
    /// Where the certificate of the edge comes from.
    pub tls: TlsSource,
    /// The way to the edge.
    pub exposure: Exposure,
    /// What stands behind the edge, once it is known.
    pub upstreams: Option<Upstreams>,
    /// The edge.
    pub edge: Workload,
    /// The gateway service.
    pub gateway: Workload,
    /// The auth service.
    pub auth: Workload,
    /// The chat service.
    pub chat: Workload,
    /// The media service.
    pub media: Workload,
    /// The notification service.
    pub notification: Workload,
    /// The web client.
    pub web: Workload,
    /// What is said of the services besides.
    pub settings: Settings,
    /// The `MongoDB` replica set.
    pub mongodb: Served<MongoDb>,
    /// Redis.
    pub redis: Served<Servers>,
    /// The `RabbitMQ` broker.
    pub rabbitmq: Served<Servers>,
    /// The S3 store.
    pub object_storage: ObjectStorage,
    /// The SMTP server, if any.
    pub email: Option<Email>,
    /// Firebase Cloud Messaging, if any.
    pub push: Option<Push>,
    /// The `OpenSearch` that messages are looked for in, if it is not `MongoDB`.
    pub search: Option<OpenSearch>,
    /// Backups, if any are made.
    pub backup: Option<Backup>,
    /// Everything secret.
    pub material: Material,
    /// How far the rotations are.
    pub rotation: Vec<Progress>,
    /// The user's Secrets about servers that somebody else runs.
    pub externals: Externals,
}

impl Platform {
    /// What a component without data of its own is to be; none for the servers.
    #[must_use]
    pub fn workload(&self, component: Component) -> Option<&Workload> {
        match component {
            Component::Gateway => Some(&self.gateway),
            Component::Auth => Some(&self.auth),
            Component::Chat => Some(&self.chat),
            Component::Media => Some(&self.media),
            Component::Notification => Some(&self.notification),
            Component::Web => Some(&self.web),
            Component::Edge => Some(&self.edge),
            Component::MongoDb | Component::Redis | Component::RabbitMq | Component::ObjectStorage => None,
        }
    }

    /// The release that a component is to be of now.
    #[must_use]
    pub fn release(&self, component: Component) -> &str {
        self.upgrade.as_ref().and_then(|upgrade| upgrade.held(component)).unwrap_or(&self.version)
    }

    /// Whether somebody else runs a component.
    #[must_use]
    pub fn is_external(&self, component: Component) -> bool {
        match component {
            Component::MongoDb => self.mongodb.managed().is_none(),
            Component::Redis => self.redis.managed().is_none(),
            Component::RabbitMq => self.rabbitmq.managed().is_none(),
            Component::ObjectStorage => matches!(self.object_storage, ObjectStorage::External(_)),
            _ => false,
        }
    }
}

/// Where images come from.
#[derive(Clone, Debug, Default)]
pub struct Images {
    /// The registry that stands in for the public one, without a slash at its end.
    pub registry: Option<String>,
    /// When nodes pull.
    pub pull_policy: PullPolicy,
    /// Names of Secrets that nodes log in with.
    pub pull_secrets: Vec<String>,
}

/// Where the certificate of the edge comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TlsSource {
    /// The operator's own authority.
    Own,
    /// A Secret of the user's.
    Secret,
    /// cert-manager, which is asked for it.
    Issued {
        /// By whom it is signed.
        issuer: IssuerRef,
        /// What it takes until it is there, while it is not.
        waits: Option<String>,
    },
}

/// The way to the edge.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    /// Its type.
    pub type_: ExposureType,
    /// The port of every node, if the user chose one.
    pub node_port: Option<i32>,
    /// The class of the Ingress, if the user chose one.
    pub class_name: Option<String>,
    /// Annotations of the Ingress, the route or the Service.
    pub annotations: BTreeMap<String, String>,
    /// The Gateways that take the route.
    pub parents: Vec<ParentRef>,
    /// Where the pods are that requests come by, if the user said so.
    pub controller_namespace: Option<String>,
}

/// The addresses behind the edge. Reads and writes as `gateway=10.96.0.7,web=10.96.0.9`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Upstreams {
    /// Of the gateway's Service.
    pub gateway: IpAddr,
    /// Of the web client's Service.
    pub web: IpAddr,
}

impl fmt::Display for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gateway={},web={}", self.gateway, self.web)
    }
}

impl FromStr for Upstreams {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (gateway, web) = text.split_once(',').ok_or(())?;
        let address = |part: &str, name| part.strip_prefix(name).and_then(|address| address.parse().ok()).ok_or(());
        Ok(Self { gateway: address(gateway, "gateway=")?, web: address(web, "web=")? })
    }
}

/// A component without data of its own.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Pods; with an autoscaler the fewest.
    pub replicas: i32,
    /// What the autoscaler goes by that says how many there are, if one does.
    pub autoscaling: Option<Autoscaling>,
    /// CPU and memory of each.
    pub resources: ResourceRequirements,
    /// What is added to each, and where they run.
    pub pods: PodOverrides,
}

/// What is said of the services, besides their pods.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Origins whose pages may call the gateway.
    pub allowed_origins: Vec<String>,
    /// Limits of the gateway, by kind of request: requests a minute, and at once. The gateway has its own for others.
    pub rates: BTreeMap<&'static str, (i32, i32)>,
    /// Whether people make their own accounts, if that is said.
    pub registration_open: Option<bool>,
    /// The domains of their addresses; none for any.
    pub email_domains: Vec<String>,
    /// How long a session lasts without use, and at most, in hours, if that is said.
    pub session_hours: (Option<i64>, Option<i64>),
    /// The largest file in bytes, if it is not the media service's own limit.
    pub upload_bytes: Option<u64>,
    /// Where traces go, if anywhere.
    pub tracing: Option<Tracing>,
    /// Who gathers metrics, if that is said.
    pub pod_monitor: Option<PodMonitor>,
}

/// Where traces go.
#[derive(Clone, Debug)]
pub struct Tracing {
    /// URL of the collector, without a slash at its end.
    pub endpoint: String,
    /// The collector's port.
    pub port: u16,
    /// Share of the traces in percent.
    pub percent: i32,
}

impl Settings {
    /// The largest file in bytes.
    #[must_use]
    pub fn upload(&self) -> u64 {
        self.upload_bytes.unwrap_or(UPLOAD_DEFAULT_BYTES)
    }
}

/// What an autoscaler goes by.
#[derive(Clone, Debug)]
pub struct Autoscaling {
    /// The most pods.
    pub most: i32,
    /// CPU that the pods use on average, in percent of what they request.
    pub cpu_percent: i32,
    /// Sockets that the pods have on average, if they count.
    pub connections: Option<i32>,
    /// How fast it goes either way, if that is said.
    pub behavior: Option<Behavior>,
}

/// What the document says of pods, besides what the operator does.
#[derive(Clone, Debug, Default)]
pub struct PodOverrides {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Labels of nodes.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes.
    pub tolerations: Vec<Toleration>,
    /// What takes the place of the operator's rules, if anything.
    pub affinity: Option<Affinity>,
    /// What takes the place of the operator's constraints, if anything; without selector it counts the component's pods.
    pub spread: Option<Vec<TopologySpreadConstraint>>,
    /// The class by which pods make way for others.
    pub priority_class: Option<String>,
}

/// The members of a replica set: 1, 3, 5 or 7.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemberCount(i32);

impl MemberCount {
    /// A set of one, which has no fail-over.
    pub const ONE: Self = Self(1);

    /// A number of members; none where it is not allowed.
    #[must_use]
    pub fn new(members: i32) -> Option<Self> {
        matches!(members, 1 | 3 | 5 | 7).then_some(Self(members))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }
}

/// A server that the platform has for itself, or that somebody else runs.
#[derive(Clone, Debug)]
pub enum Served<T> {
    /// The operator deploys it.
    Managed(T),
    /// It is there already; only its connection is known, and that is secret.
    External,
}

impl<T> Served<T> {
    /// What the operator deploys, if it does.
    #[must_use]
    pub fn managed(&self) -> Option<&T> {
        match self {
            Self::Managed(managed) => Some(managed),
            Self::External => None,
        }
    }
}

/// The `MongoDB` replica set.
#[derive(Clone, Debug)]
pub struct MongoDb {
    /// Its members.
    pub members: MemberCount,
    /// The pods that shall run: more than members as long as the set still counts on those that are to go.
    pub pods: i32,
    /// Whether the set has ever served, and so has data.
    pub established: bool,
    /// The version of the server, three numbers.
    pub version: String,
    /// The volume, CPU and memory of each.
    pub each: Server,
}

/// Several servers of a kind.
#[derive(Clone, Debug)]
pub struct Servers {
    /// How many.
    pub replicas: i32,
    /// The volume, CPU and memory of each.
    pub each: Server,
}

/// One server that holds data.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its volume.
    pub storage: Storage,
    /// CPU and memory.
    pub resources: ResourceRequirements,
    /// The limit of memory, in MiB.
    pub memory_mebibytes: u64,
}

/// The S3 store.
#[derive(Clone, Debug)]
pub enum ObjectStorage {
    /// One that the operator deploys.
    Managed(Server),
    /// A bucket that somebody else keeps.
    External(Bucket),
}

/// A bucket of an S3 service that somebody else runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bucket {
    /// URL of the service.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// Whether it is named in the path and not in the host.
    pub path_style: bool,
    /// URL of the service for browsers.
    pub public_url: String,
}

/// Backups by a schedule.
#[derive(Clone, Debug)]
pub struct Backup {
    /// When, as cron has it, in UTC.
    pub schedule: String,
    /// How many are kept.
    pub retention: i32,
    /// Whether none begins by itself.
    pub suspend: bool,
    /// Where they are kept.
    pub bucket: Bucket,
    /// The port of that.
    pub port: u16,
    /// What all keys begin with.
    pub prefix: String,
    /// Name of the Secret with the account.
    pub credentials: String,
}

/// A volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Its size.
    pub size: Quantity,
    /// Its class; none is the cluster's default.
    pub class_name: Option<String>,
}

/// The SMTP server.
#[derive(Clone, Debug)]
pub struct Email {
    /// Its host name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How connections are encrypted.
    pub tls: EmailTls,
    /// The sender.
    pub from: String,
    /// Name of the Secret with the log-in, if the server wants one.
    pub credentials: Option<String>,
}

/// An `OpenSearch`.
#[derive(Clone, Debug)]
pub struct OpenSearch {
    /// Its URL, without a slash at its end.
    pub endpoint: String,
    /// Its port.
    pub port: u16,
    /// The name of the index.
    pub index: String,
    /// Name of the Secret with the log-in, if the server wants one.
    pub credentials: Option<String>,
}

/// Firebase Cloud Messaging.
#[derive(Clone, Debug)]
pub struct Push {
    /// The project.
    pub project: String,
    /// URL of the interface, if it is not Firebase's own, without a slash at its end.
    pub endpoint: Option<String>,
    /// The port of the interface.
    pub port: u16,
    /// Name of the Secret with the service account's key.
    pub credentials: String,
}
