//! The fields of `spec`, one by one: each into its typed form, or onto the list of faults.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource;
use kube::ResourceExt as _;

use super::platform::{Email, Exposure, Images, MemberCount, MongoDb, Server, Storage, Workload};
use super::{Fault, defaults, release};
use crate::api::{self, ChatPlatform, EmailTls, ExposureType, Quantity};
use crate::build::{Component, volume};
use crate::observe::Observed;

/// The fields that stand on their own.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) version: String,
    pub(super) images: Images,
    pub(super) tls_secret: Option<String>,
    pub(super) exposure: Exposure,
    pub(super) edge: Workload,
    pub(super) gateway: Workload,
    pub(super) auth: Workload,
    pub(super) chat: Workload,
    pub(super) media: Workload,
    pub(super) notification: Workload,
    pub(super) web: Workload,
    pub(super) mongodb: MongoDb,
    pub(super) redis: Server,
    pub(super) rabbitmq: Server,
    pub(super) object_storage: Server,
    pub(super) email: Option<Email>,
}

/// Reads a document, and lists everything that is wrong with it rather than the first thing.
pub(super) fn parse(document: &ChatPlatform, observed: &Observed) -> Result<Parsed, Vec<Fault>> {
    let spec = &document.spec;
    let mut check = Checker { observed, platform: document.name_any(), faults: Vec::new() };
    check.name();
    check.host(&spec.host);
    let running = document.status.as_ref().and_then(|status| status.version.as_deref());
    let managed = spec.object_storage.as_ref().and_then(|storage| storage.managed.clone()).unwrap_or_default();
    let mongodb = spec.mongodb.clone().unwrap_or_default();
    let redis = spec.redis.clone().unwrap_or_default();
    let rabbitmq = spec.rabbitmq.clone().unwrap_or_default();
    let chat = spec.chat.clone().unwrap_or_default();
    check.exactly_one(Component::Chat, "replicas", chat.replicas);
    check.exactly_one(Component::RabbitMq, "replicas", rabbitmq.replicas);
    let chat = api::Workload { replicas: chat.replicas, resources: chat.resources };
    let parsed = Parsed {
        version: check.version(spec.version.as_deref(), running),
        images: check.images(spec.images.as_ref()),
        tls_secret: check.tls(spec.tls.as_ref()),
        exposure: check.exposure(spec.exposure.as_ref()),
        edge: check.workload(Component::Edge, spec.edge.as_ref()),
        gateway: check.workload(Component::Gateway, spec.gateway.as_ref()),
        auth: check.workload(Component::Auth, spec.auth.as_ref()),
        chat: check.workload(Component::Chat, Some(&chat)),
        media: check.workload(Component::Media, spec.media.as_ref()),
        notification: check.workload(Component::Notification, spec.notification.as_ref()),
        web: check.workload(Component::Web, spec.web.as_ref()),
        mongodb: check.mongodb(&mongodb),
        redis: check.server(Component::Redis, redis.storage.as_ref(), redis.resources.as_ref()),
        rabbitmq: check.server(Component::RabbitMq, rabbitmq.storage.as_ref(), rabbitmq.resources.as_ref()),
        object_storage: check.server(Component::ObjectStorage, managed.storage.as_ref(), managed.resources.as_ref()),
        email: check.email(spec.email.as_ref()),
    };
    if check.faults.is_empty() { Ok(parsed) } else { Err(check.faults) }
}

struct Checker<'a> {
    observed: &'a Observed,
    platform: String,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    fn fault(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault { field: field.into(), message: message.into() });
    }

    fn name(&mut self) {
        let name = &self.platform;
        let fits =
            name.len() <= api::NAME_MAX && name.starts_with(|c: char| c.is_ascii_lowercase()) && is_dns_label(name);
        if !fits {
            let message = format!(
                "{name:?} cannot name the objects of a platform: use at most {} lower-case letters, digits and dashes, beginning with a letter",
                api::NAME_MAX
            );
            self.fault("metadata.name", message);
        }
    }

    fn host(&mut self, host: &str) {
        if host.len() > 253 || !host.split('.').all(is_dns_label) {
            let cure = "write a lower-case host name such as chat.example.com, without scheme, port or path";
            self.fault("spec.host", format!("{host:?} is no host name: {cure}"));
        }
    }

    fn version(&mut self, wanted: Option<&str>, running: Option<&str>) -> String {
        let wanted = wanted.unwrap_or(crate::VERSION);
        if let Err(message) = release::check(wanted, running, crate::VERSION) {
            self.fault("spec.version", message);
        }
        wanted.to_owned()
    }

    fn images(&mut self, images: Option<&api::Images>) -> Images {
        let images = images.cloned().unwrap_or_default();
        let registry = images.registry.map(|registry| registry.trim_end_matches('/').to_owned());
        if let Some(registry) = &registry
            && (registry.is_empty() || registry.contains("://") || registry.contains(char::is_whitespace))
        {
            let cure =
                "write a host with an optional port and path, such as registry.example.com/mirror, without scheme";
            self.fault("spec.images.registry", format!("{registry:?} is no registry: {cure}"));
        }
        Images {
            registry,
            pull_policy: images.pull_policy.unwrap_or_default(),
            pull_secrets: images.pull_secrets.into_iter().map(|secret| secret.name).collect(),
        }
    }

    fn tls(&mut self, tls: Option<&api::Tls>) -> Option<String> {
        let tls = tls?;
        if tls.secret_name.is_some() == tls.self_signed.is_some() {
            self.fault("spec.tls", "takes exactly one of selfSigned and secretName");
        }
        tls.secret_name.clone()
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
        Exposure { type_, node_port: exposure.node_port, annotations: exposure.annotations }
    }

    fn port(&mut self, field: &str, port: i32) -> u16 {
        match u16::try_from(port) {
            Ok(port) if port > 0 => port,
            _ => {
                self.fault(field, format!("{port} is no port: allowed are 1 to 65535"));
                1
            }
        }
    }

    fn exactly_one(&mut self, component: Component, field: &str, replicas: Option<i32>) {
        if let Some(replicas) = replicas
            && replicas != 1
        {
            let message = format!("{replicas} is more or less than this release runs: write 1 or leave the field out");
            self.fault(format!("{}.{field}", path(component)), message);
        }
    }

    fn workload(&mut self, component: Component, workload: Option<&api::Workload>) -> Workload {
        let workload = workload.cloned().unwrap_or_default();
        let replicas = workload.replicas.unwrap_or(1);
        if !(1..=20).contains(&replicas) && component != Component::Chat {
            self.fault(
                format!("{}.replicas", path(component)),
                format!("{replicas} is out of range: allowed are 1 to 20"),
            );
        }
        let (resources, _) = self.resources(component, workload.resources.as_ref());
        Workload { replicas, resources }
    }

    fn mongodb(&mut self, mongodb: &api::MongoDb) -> MongoDb {
        let wanted = mongodb.members.unwrap_or(1);
        let members = MemberCount::new(wanted);
        if members.is_none() {
            let message = format!(
                "{wanted} is not possible: it takes 1, 3, 5 or 7, since only an odd number always has a majority"
            );
            self.fault("spec.mongodb.members", message);
        }
        if let Some(there) = self.set_there(Component::MongoDb).and_then(|set| set.spec.as_ref()?.replicas)
            && wanted != there
        {
            let message = format!(
                "cannot go from {there} to {wanted}: in this release it is fixed once created, put {there} back"
            );
            self.fault("spec.mongodb.members", message);
        }
        let server = self.server(Component::MongoDb, mongodb.storage.as_ref(), mongodb.resources.as_ref());
        MongoDb {
            members: members.unwrap_or(MemberCount::ONE),
            storage: server.storage,
            resources: server.resources,
            memory_mebibytes: server.memory_mebibytes,
        }
    }

    fn server(
        &mut self,
        component: Component,
        storage: Option<&api::Storage>,
        resources: Option<&api::Resources>,
    ) -> Server {
        let storage = self.storage(component, storage);
        let (resources, memory_mebibytes) = self.resources(component, resources);
        Server { storage, resources, memory_mebibytes }
    }

    fn storage(&mut self, component: Component, storage: Option<&api::Storage>) -> Storage {
        let storage = storage.cloned().unwrap_or_default();
        let field = format!("{}.storage", path(component));
        let size = storage.size.unwrap_or_else(|| Quantity::new(defaults::volume(component)));
        if size.milli().is_none_or(|size| size <= 0) {
            self.fault(format!("{field}.size"), format!("{:?} is no size: write one such as 10Gi", size.as_str()));
        }
        let storage = Storage { size, class_name: storage.class_name };
        if let Some(there) = self.storage_there(component)
            && there.size.milli() != storage.size.milli()
        {
            let message =
                format!("cannot become {} once volumes of {} exist: put the old value back", storage.size, there.size);
            self.fault(format!("{field}.size"), message);
        } else if let Some(there) = self.storage_there(component)
            && there.class_name != storage.class_name
        {
            let message =
                format!("cannot change once volumes exist: put {} back", there.class_name.as_deref().unwrap_or("none"));
            self.fault(format!("{field}.className"), message);
        }
        storage
    }

    /// The volumes that a `StatefulSet` makes now; its template of claims can never change.
    fn storage_there(&self, component: Component) -> Option<Storage> {
        let claims = self.set_there(component)?.spec.as_ref()?.volume_claim_templates.as_ref()?;
        let claim = claims.iter().find(|claim| claim.name_any() == volume::DATA)?.spec.as_ref()?;
        let size = claim.resources.as_ref()?.requests.as_ref()?.get("storage")?;
        Some(Storage { size: Quantity::new(&size.0), class_name: claim.storage_class_name.clone() })
    }

    fn set_there(&self, component: Component) -> Option<&StatefulSet> {
        let name = format!("{}-{}", self.platform, component.name());
        self.observed.stateful_sets.iter().find(|set| set.name_any() == name)
    }

    /// Requests and limits with the defaults filled in, and the limit of memory in MiB.
    fn resources(&mut self, component: Component, resources: Option<&api::Resources>) -> (ResourceRequirements, u64) {
        let field = format!("{}.resources", path(component));
        let resources = resources.cloned().unwrap_or_default();
        let (requests, limits) = (resources.requests.unwrap_or_default(), resources.limits.unwrap_or_default());
        for (part, amount) in [
            ("requests.cpu", &requests.cpu),
            ("requests.memory", &requests.memory),
            ("limits.cpu", &limits.cpu),
            ("limits.memory", &limits.memory),
        ] {
            if let Some(amount) = amount
                && amount.milli().is_none_or(|amount| amount <= 0)
            {
                let message = format!("{:?} is no amount: write one such as 500m or 256Mi", amount.as_str());
                self.fault(format!("{field}.{part}"), message);
            }
        }
        let default = defaults::amounts(component);
        let (cpu, _) = self.pair(&format!("{field}.limits.cpu"), requests.cpu, limits.cpu.as_ref(), default.cpu);
        let limit = limits.memory.or_else(|| {
            // Who asks for more than the default limit means to have it.
            let least = Quantity::new(default.memory_limit);
            Some(requests.memory.clone().filter(|wanted| wanted.milli() > least.milli()).unwrap_or(least))
        });
        let (memory, limit) =
            self.pair(&format!("{field}.limits.memory"), requests.memory, limit.as_ref(), default.memory);
        let entry = |name: &str, amount: Quantity| (name.to_owned(), resource::Quantity(amount.to_string()));
        let mebibytes = limit.as_ref().and_then(Quantity::mebibytes).unwrap_or_default();
        let requirements = ResourceRequirements {
            requests: Some([entry("cpu", cpu), entry("memory", memory)].into()),
            limits: Some(
                limits
                    .cpu
                    .map(|cpu| entry("cpu", cpu))
                    .into_iter()
                    .chain(limit.map(|limit| entry("memory", limit)))
                    .collect(),
            ),
            ..ResourceRequirements::default()
        };
        (requirements, mebibytes)
    }

    /// A request, or its default lowered to the limit, and the limit.
    fn pair(
        &mut self,
        field: &str,
        request: Option<Quantity>,
        limit: Option<&Quantity>,
        default: &str,
    ) -> (Quantity, Option<Quantity>) {
        let above = |amount: &Quantity| limit.is_some_and(|limit| amount.milli() > limit.milli());
        if let Some(request) = request.as_ref().filter(|request| above(request)) {
            let message =
                format!("{} is below the request of {request}: raise the limit or lower the request", text(limit));
            self.fault(field, message);
        }
        let default = Quantity::new(default);
        let default = if above(&default) { limit.cloned().unwrap_or(default) } else { default };
        (request.unwrap_or(default), limit.cloned())
    }

    fn email(&mut self, email: Option<&api::Email>) -> Option<Email> {
        let email = email?;
        if email.host.is_empty() || email.host.len() > 253 || email.host.contains(char::is_whitespace) {
            self.fault("spec.email.host", format!("{:?} is no host name: write that of an SMTP server", email.host));
        }
        if !email.from.contains('@') || email.from.len() > 320 || email.from.contains(['\r', '\n']) {
            self.fault(
                "spec.email.from",
                format!("{:?} is no e-mail address: write one such as chat@example.com", email.from),
            );
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

/// RFC 1123, section 2.1: letters, digits and dashes, no dash at either end, at most 63.
fn is_dns_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(allowed) && !label.starts_with('-') && !label.ends_with('-')
}

fn text(quantity: Option<&Quantity>) -> &str {
    quantity.map_or("none", Quantity::as_str)
}
