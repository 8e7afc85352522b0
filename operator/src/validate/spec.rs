//! The fields of `spec`, one by one: each into its typed form, or onto the list of faults.

mod amounts;
mod backup;
mod pods;
mod rotation;
mod scaling;
mod servers;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;

use super::platform::{
    Backup, Email, Exposure, Images, MongoDb, ObjectStorage, OpenSearch, Push, Served, Servers, Settings, Workload,
};
use super::{Fault, notation, release, upgrade};
use crate::api::{self, ChatPlatform, EmailTls, ExposureType, SearchBackend};
use crate::build::{Component, certificate};
use crate::observe::Observed;
use crate::secrets::rotation::Plans;

/// The fields that stand on their own.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) version: String,
    pub(super) images: Images,
    pub(super) tls: Tls,
    pub(super) exposure: Exposure,
    pub(super) edge: Workload,
    pub(super) gateway: Workload,
    pub(super) auth: Workload,
    pub(super) chat: Workload,
    pub(super) media: Workload,
    pub(super) notification: Workload,
    pub(super) web: Workload,
    pub(super) settings: Settings,
    pub(super) mongodb: Served<MongoDb>,
    pub(super) redis: Served<Servers>,
    pub(super) rabbitmq: Served<Servers>,
    pub(super) object_storage: ObjectStorage,
    pub(super) email: Option<Email>,
    pub(super) rotation: Plans,
    pub(super) push: Option<Push>,
    pub(super) search: Option<OpenSearch>,
    pub(super) backup: Option<Backup>,
}

/// What a Secret with an account of an S3 service has.
pub(super) const ACCOUNT: [&str; 2] = ["accessKeyId", "secretAccessKey"];

/// What the document says of the certificate of the edge.
#[derive(Clone, Debug)]
pub(super) enum Tls {
    Own,
    Secret(String),
    Issued(api::IssuerRef),
}

/// Reads a document, and lists everything that is wrong with it rather than the first thing.
pub(super) fn parse(document: &ChatPlatform, observed: &Observed) -> Result<Parsed, Vec<Fault>> {
    let spec = &document.spec;
    let mut check =
        Checker { observed, platform: document.name_any(), hibernated: spec.hibernated, faults: Vec::new() };
    check.name();
    check.host(&spec.host);
    for external in externals(spec) {
        check.secret(external.field, external.secret);
    }
    let running = document.status.as_ref().and_then(|status| status.version.as_deref());
    let parsed = Parsed {
        version: check.version(spec.version.as_deref(), running),
        images: check.images(spec.images.as_ref()),
        tls: check.tls(spec.tls.as_ref()),
        exposure: check.exposure(spec.exposure.as_ref()),
        edge: check.workload(Component::Edge, spec.edge.as_ref()),
        gateway: check.workload(Component::Gateway, spec.gateway.as_ref().map(|gateway| &gateway.workload)),
        auth: check.workload(Component::Auth, spec.auth.as_ref().map(|auth| &auth.workload)),
        chat: check.chat(spec.chat.clone().unwrap_or_default()),
        media: check.workload(Component::Media, spec.media.as_ref().map(|media| &media.workload)),
        notification: check.workload(Component::Notification, spec.notification.as_ref()),
        web: check.workload(Component::Web, spec.web.as_ref()),
        settings: check.settings(spec),
        mongodb: check.mongodb(&spec.mongodb.clone().unwrap_or_default()),
        redis: check.redis(&spec.redis.clone().unwrap_or_default()),
        rabbitmq: check.rabbitmq(&spec.rabbitmq.clone().unwrap_or_default()),
        object_storage: check.object_storage(&spec.object_storage.clone().unwrap_or_default()),
        email: check.email(spec.email.as_ref()),
        rotation: check.rotation(document),
        push: check.push(spec.push.as_ref()),
        search: check.search(document),
        backup: check.backup(document),
    };
    if check.faults.is_empty() { Ok(parsed) } else { Err(check.faults) }
}

/// A Secret of the user's that says where a server is which somebody else runs.
pub(super) struct External<'a> {
    pub(super) component: Component,
    pub(super) secret: &'a str,
    /// What the Secret must have.
    pub(super) keys: &'static [&'static str],
    pub(super) field: &'static str,
}

/// The servers that somebody else runs.
pub(super) fn externals(spec: &api::ChatPlatformSpec) -> impl Iterator<Item = External<'_>> {
    fn server<'a>(
        component: Component,
        external: Option<&'a api::ExternalServer>,
        keys: &'static [&'static str],
        field: &'static str,
    ) -> Option<External<'a>> {
        Some(External { component, secret: &external?.connection_secret_ref.name, keys, field })
    }
    let mongodb = spec.mongodb.as_ref().and_then(|mongodb| mongodb.external.as_ref());
    let redis = spec.redis.as_ref().and_then(|redis| redis.external.as_ref());
    let rabbitmq = spec.rabbitmq.as_ref().and_then(|rabbitmq| rabbitmq.external.as_ref());
    let bucket = spec.object_storage.as_ref().and_then(|storage| storage.external.as_ref());
    let bucket = bucket.map(|bucket| External {
        component: Component::ObjectStorage,
        secret: &bucket.credentials_secret_ref.name,
        keys: &ACCOUNT,
        field: "spec.objectStorage.external.credentialsSecretRef.name",
    });
    [
        server(Component::MongoDb, mongodb, &["uri"], "spec.mongodb.external.connectionSecretRef.name"),
        server(Component::Redis, redis, &["url"], "spec.redis.external.connectionSecretRef.name"),
        server(Component::RabbitMq, rabbitmq, &["uri"], "spec.rabbitmq.external.connectionSecretRef.name"),
        bucket,
    ]
    .into_iter()
    .flatten()
}

struct Checker<'a> {
    observed: &'a Observed,
    platform: String,
    hibernated: bool,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    fn fault(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault { field: field.into(), message: message.into() });
    }

    fn name(&mut self) {
        let name = &self.platform;
        let fits = name.len() <= api::NAME_MAX
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && notation::is_label(name);
        if !fits {
            let message = format!(
                "{name:?} cannot name the objects of a platform: use at most {} lower-case letters, digits and dashes, beginning with a letter",
                api::NAME_MAX
            );
            self.fault("metadata.name", message);
        }
    }

    fn host(&mut self, host: &str) {
        if !notation::is_host(host) {
            let cure = "write a lower-case host name such as chat.example.com, without scheme, port or path, and no address, at most 253 characters";
            self.fault("spec.host", format!("{host:?} is no host name: {cure}"));
        }
    }

    fn version(&mut self, wanted: Option<&str>, running: Option<&str>) -> String {
        // Another operator is no reason to restart anything: a platform stays at the release that it has, or was begun with.
        let kept = || running.or_else(|| upgrade::begun(self.observed));
        let wanted = wanted.or_else(kept).unwrap_or(crate::VERSION);
        if let Err(message) = release::check(wanted, running, crate::VERSION) {
            self.fault("spec.version", message);
        }
        wanted.to_owned()
    }

    fn images(&mut self, images: Option<&api::Images>) -> Images {
        let images = images.cloned().unwrap_or_default();
        if let Some(registry) = images.registry.as_ref().filter(|registry| !notation::is_registry(registry)) {
            let cure = "write a host with an optional port and path, such as registry.example.com/mirror, without scheme and tag, at most 255 characters";
            self.fault("spec.images.registry", format!("{registry:?} is no registry: {cure}"));
        }
        let pull_secrets: Vec<String> = images.pull_secrets.into_iter().map(|secret| secret.name).collect();
        self.pull_secrets(&pull_secrets);
        Images {
            registry: images.registry.map(|registry| registry.trim_end_matches('/').to_owned()),
            pull_policy: images.pull_policy.unwrap_or_default(),
            pull_secrets,
        }
    }

    fn pull_secrets(&mut self, names: &[String]) {
        const FIELD: &str = "spec.images.pullSecrets";
        if names.len() > 16 {
            self.fault(FIELD, format!("{} are too many: write at most 16", names.len()));
        }
        let mut seen = BTreeSet::new();
        for (place, name) in names.iter().enumerate() {
            self.secret(format!("{FIELD}[{place}].name"), name);
            if !seen.insert(name) {
                self.fault(format!("{FIELD}[{place}]"), format!("Duplicate value {name:?}: write each Secret once"));
            }
        }
    }

    fn secret(&mut self, field: impl Into<String>, name: &str) {
        self.object_name(field, name, "a Secret in the platform's namespace");
    }

    fn object_name(&mut self, field: impl Into<String>, name: &str, what: &str) {
        if !notation::is_object_name(name) {
            let message = format!(
                "{name:?} is no name: write the name of {what}: lower-case letters, digits, dashes and dots, at most 253"
            );
            self.fault(field, message);
        }
    }

    fn tls(&mut self, tls: Option<&api::Tls>) -> Tls {
        let Some(tls) = tls else { return Tls::Own };
        let sources = [tls.self_signed.is_some(), tls.secret_name.is_some(), tls.issuer_ref.is_some()];
        if sources.into_iter().filter(|is_there| *is_there).count() != 1 {
            self.fault(
                "spec.tls",
                "takes exactly one of selfSigned, secretName and issuerRef: write one of them, or leave spec.tls out",
            );
        }
        if let Some(name) = &tls.secret_name {
            self.secret("spec.tls.secretName", name);
            return Tls::Secret(name.clone());
        }
        match &tls.issuer_ref {
            Some(issuer) => {
                self.issuer(issuer);
                Tls::Issued(issuer.clone())
            }
            None => Tls::Own,
        }
    }

    fn issuer(&mut self, issuer: &api::IssuerRef) {
        self.object_name("spec.tls.issuerRef.name", &issuer.name, "an issuer");
        if let Some(kind) = issuer.kind.as_ref().filter(|kind| !notation::is_kind(kind)) {
            let cure = "write a kind, such as Issuer or ClusterIssuer";
            self.fault("spec.tls.issuerRef.kind", format!("{kind:?} is no kind: {cure}"));
        }
        if let Some(group) = issuer.group.as_ref().filter(|group| !notation::is_object_name(group)) {
            let cure = "write an API group, such as cert-manager.io";
            self.fault("spec.tls.issuerRef.group", format!("{group:?} is no API group: {cure}"));
        }
        let is_own = issuer.group.as_ref().is_none_or(|group| group == certificate::GROUP);
        if is_own && issuer.kind.as_ref().is_some_and(|kind| !["Issuer", "ClusterIssuer"].contains(&kind.as_str())) {
            self.fault(
                "spec.tls.issuerRef.kind",
                "takes Issuer or ClusterIssuer: write one of them, or the group of an issuer that is not cert-manager's own",
            );
        }
    }

    fn exposure(&mut self, exposure: Option<&api::Exposure>) -> Exposure {
        let exposure = exposure.cloned().unwrap_or_default();
        let type_ = exposure.type_.unwrap_or_default();
        if let Some(port) = exposure.node_port {
            if type_ != ExposureType::NodePort {
                let cure = "needs spec.exposure.type NodePort: set the type, or leave nodePort out";
                self.fault("spec.exposure.nodePort", cure);
            }
            self.port("spec.exposure.nodePort", port);
        }
        if let Some(name) = &exposure.class_name {
            if type_ != ExposureType::Ingress {
                let cure = "needs spec.exposure.type Ingress: set the type, or leave className out";
                self.fault("spec.exposure.className", cure);
            }
            self.object_name("spec.exposure.className", name, "an IngressClass");
        }
        self.parents(&exposure.parent_refs, type_);
        if let Some(namespace) = &exposure.controller_namespace {
            if !type_.is_behind_proxy() {
                let cure =
                    "needs spec.exposure.type Ingress or Gateway: set the type, or leave controllerNamespace out";
                self.fault("spec.exposure.controllerNamespace", cure);
            }
            self.namespace("spec.exposure.controllerNamespace", namespace);
        }
        self.annotations("spec.exposure.annotations", &exposure.annotations);
        Exposure {
            type_,
            node_port: exposure.node_port,
            class_name: exposure.class_name,
            annotations: exposure.annotations,
            parents: exposure.parent_refs,
            controller_namespace: exposure.controller_namespace,
        }
    }

    fn parents(&mut self, parents: &[api::ParentRef], type_: ExposureType) {
        const FIELD: &str = "spec.exposure.parentRefs";
        if parents.is_empty() == (type_ == ExposureType::Gateway) {
            let cure = "write the Gateways that take the route, or leave parentRefs out and choose another type";
            self.fault(FIELD, format!("this field and spec.exposure.type Gateway need each other: {cure}"));
        }
        if parents.len() > 8 {
            self.fault(FIELD, format!("{} are too many: write at most 8", parents.len()));
        }
        for (place, parent) in parents.iter().enumerate() {
            let field = |name: &str| format!("{FIELD}[{place}].{name}");
            self.object_name(field("name"), &parent.name, "a Gateway");
            if let Some(namespace) = &parent.namespace {
                self.namespace(&field("namespace"), namespace);
            }
            if let Some(section) = &parent.section_name {
                self.object_name(field("sectionName"), section, "a listener of the Gateway");
            }
            if let Some(port) = parent.port {
                self.port(&field("port"), port);
            }
        }
    }

    fn namespace(&mut self, field: &str, name: &str) {
        if !notation::is_label(name) {
            let cure = "write the name of a namespace: lower-case letters, digits and dashes, at most 63";
            self.fault(field, format!("{name:?} is no name: {cure}"));
        }
    }

    fn annotations(&mut self, field: &str, annotations: &BTreeMap<String, String>) {
        if annotations.len() > 64 {
            self.fault(field, format!("{} are too many: write at most 64", annotations.len()));
        }
        for name in annotations.keys().filter(|name| !notation::is_annotation(name)) {
            let cure = "write at most 63 letters, digits, dashes, underscores and dots, with a domain before them if need be, such as example.com/internal";
            self.fault(field, format!("{name:?} is no name of an annotation: {cure}"));
        }
    }

    fn port(&mut self, field: &str, port: i32) -> u16 {
        match u16::try_from(port) {
            Ok(port) if port > 0 => port,
            _ => {
                self.fault(field, format!("{port} is no port: write one from 1 to 65535"));
                1
            }
        }
    }

    fn workload(&mut self, component: Component, workload: Option<&api::Workload>) -> Workload {
        let workload = workload.cloned().unwrap_or_default();
        let (replicas, autoscaling) = self.scaling(component, &workload);
        let (resources, _) = self.resources(component, workload.resources.as_ref());
        let pods = self.pods(component, workload.pod_template);
        Workload { replicas, autoscaling, resources, pods }
    }

    fn email(&mut self, email: Option<&api::Email>) -> Option<Email> {
        let email = email?;
        if !notation::is_server(&email.host) {
            let cure = "write the host name of an SMTP server, such as smtp.example.com, without scheme and port, at most 253 characters";
            self.fault("spec.email.host", format!("{:?} is no host name: {cure}", email.host));
        }
        if !notation::is_sender(&email.from) {
            let cure = "write an e-mail address, such as chat@example.com or Acme Chat <chat@example.com>, at most 320 characters";
            self.fault("spec.email.from", format!("{:?} is no sender: {cure}", email.from));
        }
        if let Some(secret) = &email.credentials_secret_ref {
            self.secret("spec.email.credentialsSecretRef.name", &secret.name);
        }
        let tls = email.tls.unwrap_or_default();
        let usual = match tls {
            EmailTls::None => 25,
            EmailTls::StartTLS => 587,
            EmailTls::Implicit => 465,
        };
        let port = self.port("spec.email.port", email.port.unwrap_or(usual));
        let credentials = email.credentials_secret_ref.as_ref().map(|secret| secret.name.clone());
        Some(Email { host: email.host.clone(), port, tls, from: email.from.clone(), credentials })
    }

    fn push(&mut self, push: Option<&api::Push>) -> Option<Push> {
        let api::Push { project_id, credentials_secret_ref, endpoint } = push?;
        if !notation::is_project_id(project_id) {
            let cure = "write the id of a Firebase project, such as acme-chat-1: 6 to 30 lower-case letters, digits and dashes";
            self.fault("spec.push.projectId", format!("{project_id:?} is none: {cure}"));
        }
        self.secret("spec.push.credentialsSecretRef.name", &credentials_secret_ref.name);
        let port = match endpoint {
            None => Some(443),
            Some(endpoint) => notation::url_port(endpoint),
        };
        if port.is_none() {
            let cure = "write a URL without user, path and query, such as https://fcm.googleapis.com";
            let endpoint = endpoint.as_deref().unwrap_or_default();
            self.fault("spec.push.endpoint", format!("{endpoint:?} is no such URL: {cure}"));
        }
        Some(Push {
            project: project_id.clone(),
            endpoint: endpoint.as_ref().map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
            port: port?,
            credentials: credentials_secret_ref.name.clone(),
        })
    }

    fn search(&mut self, document: &ChatPlatform) -> Option<OpenSearch> {
        let api::Search { backend, open_search } = document.spec.search.as_ref()?;
        let is_asked_for = *backend == Some(SearchBackend::OpenSearch);
        if is_asked_for != open_search.is_some() {
            let cure = "openSearch goes with backend: OpenSearch, and is needed there: write both, or neither";
            self.fault("spec.search.openSearch", cure);
        }
        let api::OpenSearch { endpoint, credentials_secret_ref, index } = open_search.as_ref()?;
        let port = notation::url_port(endpoint);
        if port.is_none() {
            let cure = "write a URL without user, path and query, such as https://opensearch.example.com:9200";
            self.fault("spec.search.openSearch.endpoint", format!("{endpoint:?} is no such URL: {cure}"));
        }
        let credentials = credentials_secret_ref.as_ref().map(|secret| secret.name.clone());
        if let Some(name) = &credentials {
            self.secret("spec.search.openSearch.credentialsSecretRef.name", name);
        }
        if let Some(index) = index.as_ref().filter(|index| !notation::is_index(index)) {
            let cure = "write the name of an index, such as acme-messages: at most 200 lower-case letters, digits, dashes, underscores and dots";
            self.fault("spec.search.openSearch.index", format!("{index:?} is none: {cure}"));
        }
        let default = || format!("chatplatform-{}-{}", document.namespace().unwrap_or_default(), self.platform);
        Some(OpenSearch {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            port: port?,
            index: index.clone().unwrap_or_else(default),
            credentials,
        })
    }
}

/// The path of a component's part of the spec.
fn path(component: Component) -> &'static str {
    match component {
        Component::MongoDb => "spec.mongodb",
        Component::Redis => "spec.redis",
        Component::RabbitMq => "spec.rabbitmq",
        Component::ObjectStorage => "spec.objectStorage.managed",
        Component::Gateway => "spec.gateway",
        Component::Auth => "spec.auth",
        Component::Chat => "spec.chat",
        Component::Media => "spec.media",
        Component::Notification => "spec.notification",
        Component::Web => "spec.web",
        Component::Edge => "spec.edge",
    }
}
