//! The shape that the five services share: settings by environment, secrets by files, one public and one admin port.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar, Service, Volume, VolumeMount};

use super::component::Component;
use super::container::{container, env, mount, mount_read_only, port};
use super::probe::{Question, probed};
use super::stop::{SETTLE_SECONDS, Work, leave_first};
use super::workload::{Pods, Rolling, deployment};
use super::{labels, network, security, volume};
use crate::secrets::Names;
use crate::validate::{Platform, Workload};

/// The port of requests.
pub const PORT: i32 = 8080;
/// The port of probes and metrics, in no Service.
pub const ADMIN_PORT: i32 = 9090;
/// Who tokens are for.
pub const AUDIENCE: &str = "chatplatform";
/// The folder of the Secret `<platform>-<service>`.
const SECRETS: &str = "/etc/chatplatform/secrets";

/// A service under construction.
#[derive(Clone, Debug)]
pub struct Shape<'a> {
    platform: &'a Platform,
    component: Component,
    workload: &'a Workload,
    env: Vec<EnvVar>,
    mounts: Vec<VolumeMount>,
    volumes: Vec<Volume>,
}

impl<'a> Shape<'a> {
    /// What all five have: the public keys of tokens, their own Secret, room for temporary files.
    #[must_use]
    pub fn new(platform: &'a Platform, component: Component, workload: &'a Workload) -> Self {
        let shape = Self { platform, component, workload, env: vec![], mounts: vec![], volumes: vec![] };
        let own = platform.names.object(component.name());
        shape
            .setting("tokens", "issuer", format!("https://{}", platform.host))
            .setting("tokens", "audience", AUDIENCE)
            .setting("tokens", "jwks_file", "/etc/chatplatform/jwks/jwks.json")
            .mounted(volume::config_map("jwks", &platform.names.object("jwks")), "/etc/chatplatform/jwks")
            .mounted(volume::secret("secrets", &own), SECRETS)
            .traces()
    }

    /// What a program needs of a service that does not serve: its own Secret, and room for temporary files.
    #[must_use]
    pub fn bare(platform: &'a Platform, component: Component, workload: &'a Workload) -> Self {
        let own = platform.names.object(component.name());
        let shape = Self { platform, component, workload, env: vec![], mounts: vec![], volumes: vec![] };
        shape.mounted(volume::secret("secrets", &own), SECRETS)
    }

    /// Environment, mounts and volumes, with room for temporary files.
    #[must_use]
    pub(super) fn surroundings(mut self) -> (Vec<EnvVar>, Vec<VolumeMount>, Vec<Volume>) {
        self.mounts.push(mount("tmp", "/tmp"));
        self.volumes.push(volume::scratch("tmp", "256Mi"));
        (self.env, self.mounts, self.volumes)
    }

    /// A setting of the service, `CHATPLATFORM_<SECTION>__<KEY>`.
    #[must_use]
    pub fn setting(mut self, section: &str, key: &str, value: impl Into<String>) -> Self {
        let name = format!("CHATPLATFORM_{}__{}", section.to_uppercase(), key.to_uppercase());
        self.env.push(env(&name, value));
        self
    }

    /// Where traces go, in the variables that OpenTelemetry has for it
    /// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
    fn traces(self) -> Self {
        let Some(tracing) = &self.platform.settings.tracing else { return self };
        let (names, version) = (&self.platform.names, self.platform.release(self.component));
        let about = format!("service.namespace={},service.version={version}", names.namespace);
        let share = f64::from(tracing.percent) / 100.0;
        let name = names.object(self.component.name());
        self.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &tracing.endpoint)
            .variable("OTEL_SERVICE_NAME", &name)
            .variable("OTEL_RESOURCE_ATTRIBUTES", &about)
            .variable("OTEL_TRACES_SAMPLER_ARG", &share.to_string())
    }

    /// A variable that is not the service's own, but its libraries'.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.env.push(env(name, value));
        self
    }

    /// A setting whose value is the path of a file in the service's own Secret.
    #[must_use]
    pub fn secret(self, section: &str, key: &str, file: &str) -> Self {
        self.setting(section, key, format!("{SECRETS}/{file}"))
    }

    /// The service's own database.
    #[must_use]
    pub fn mongodb(self) -> Self {
        let database = self.component.name();
        self.secret("mongodb", "uri_file", "mongodb-uri").setting("mongodb", "database", database)
    }

    /// The service's own login to Redis.
    #[must_use]
    pub fn redis(self) -> Self {
        let shape = self.secret("redis", "url_file", "redis-url");
        // Only the authority of somebody else's server: the platform's own speaks plainly.
        let has_authority = shape.platform.material.redis.authority().is_some();
        if has_authority { shape.secret("redis", "authority_file", Names::AUTHORITY) } else { shape }
    }

    /// The service's own login to `RabbitMQ`.
    #[must_use]
    pub fn rabbitmq(self) -> Self {
        self.secret("rabbitmq", "uri_file", "rabbitmq-uri")
    }

    /// A volume to read.
    #[must_use]
    pub fn mounted(mut self, volume: Volume, path: &str) -> Self {
        self.mounts.push(mount_read_only(&volume.name, path));
        self.volumes.push(volume);
        self
    }

    /// The Deployment and the Service.
    #[must_use]
    pub fn finish(mut self) -> (Service, Deployment) {
        let (platform, component, workload) = (self.platform, self.component, self.workload);
        let work = work_of(component);
        self = self.setting("server", "settle_seconds", SETTLE_SECONDS.to_string()).setting(
            "server",
            "drain_seconds",
            work.drain_seconds().to_string(),
        );
        let (env, mounts, volumes) = self.surroundings();
        let pods = Pods {
            user: security::OURS,
            init_containers: vec![],
            container: leave_first(probed(
                Container {
                    command: Some(vec![format!("/usr/local/bin/{}", component.name())]),
                    env: Some(env),
                    ports: Some(vec![port("http", PORT), port("admin", ADMIN_PORT)]),
                    volume_mounts: Some(mounts),
                    ..container(platform, component, component.name(), workload.resources.clone())
                },
                60,
                Question::Http("admin", "/livez"),
                Question::Http("admin", "/readyz"),
            )),
            volumes,
            sidecars: vec![],
            // Settings are in the environment and so in the pod template; files are read again when they change. What names the servers
            // is read at the start alone.
            read_at_start: servers(platform).into_iter().chain(account(platform, component)).collect(),
            grace_seconds: work.grace_seconds(),
            rolling: Rolling::ByItself,
        };
        let service = network::service(platform, component, vec![network::port("http", PORT)]);
        (service, deployment(platform, component, workload, pods))
    }
}

/// Files pass through the gateway to the media service, and back.
fn work_of(component: Component) -> Work {
    match component {
        Component::Gateway | Component::Media => Work::Transfers,
        _ => Work::Requests,
    }
}

/// Which servers there are, beyond what the servers themselves tell of changes: members of a replica set do, Redis alone does not when it
/// becomes one of three.
fn servers(platform: &Platform) -> Vec<String> {
    let sentinel = platform.redis.managed().is_some_and(|redis| redis.replicas > 1);
    sentinel.then(|| "redis+sentinel".to_owned()).into_iter().chain(platform.material.external_connections()).collect()
}

/// The account at the S3 store, of the only service that has one.
fn account(platform: &Platform, component: Component) -> Option<String> {
    let has_one = component == Component::Media;
    has_one.then(|| platform.material.read_at_start(Component::ObjectStorage.name())).flatten()
}

/// The `ConfigMap` of the public keys by which every service verifies tokens.
#[must_use]
pub fn jwks(platform: &Platform) -> k8s_openapi::api::core::v1::ConfigMap {
    let files = [("jwks.json".to_owned(), platform.material.jwks())];
    k8s_openapi::api::core::v1::ConfigMap {
        metadata: labels::metadata_named(platform, Component::Auth, "jwks"),
        data: Some(files.into()),
        ..Default::default()
    }
}
