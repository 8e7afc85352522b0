//! The fields of `spec`, one by one: each into its typed form, or onto the list of faults.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource;
use kube::ResourceExt as _;

use super::platform::{
    Bucket, Email, Exposure, Images, MemberCount, MongoDb, ObjectStorage, Served, Server, Servers, Storage, Workload,
};
use super::{Fault, defaults, notation, release};
use crate::api::{self, ChatPlatform, EmailTls, ExposureType, LEAST_MEMORY, LEAST_SIZE, Quantity, quantity};
use crate::build::secrets::ESTABLISHED;
use crate::build::{Component, images, volume};
use crate::observe::{Observed, is_ready};
use crate::provision::mongodb;

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
    pub(super) mongodb: Served<MongoDb>,
    pub(super) redis: Served<Servers>,
    pub(super) rabbitmq: Served<Servers>,
    pub(super) object_storage: ObjectStorage,
    pub(super) email: Option<Email>,
}

/// Reads a document, and lists everything that is wrong with it rather than the first thing.
pub(super) fn parse(document: &ChatPlatform, observed: &Observed) -> Result<Parsed, Vec<Fault>> {
    let spec = &document.spec;
    let mut check = Checker { observed, platform: document.name_any(), faults: Vec::new() };
    check.name();
    check.host(&spec.host);
    for external in externals(spec) {
        check.secret(external.field, external.secret);
    }
    let running = document.status.as_ref().and_then(|status| status.version.as_deref());
    let chat = spec.chat.clone().unwrap_or_default();
    check.exactly_one(Component::Chat, "replicas", chat.replicas);
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
        mongodb: check.mongodb(&spec.mongodb.clone().unwrap_or_default()),
        redis: check.redis(&spec.redis.clone().unwrap_or_default()),
        rabbitmq: check.rabbitmq(&spec.rabbitmq.clone().unwrap_or_default()),
        object_storage: check.object_storage(&spec.object_storage.clone().unwrap_or_default()),
        email: check.email(spec.email.as_ref()),
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
        keys: &["accessKeyId", "secretAccessKey"],
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
        let wanted = wanted.unwrap_or(crate::VERSION);
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

    fn tls(&mut self, tls: Option<&api::Tls>) -> Option<String> {
        let tls = tls?;
        if tls.secret_name.is_some() == tls.self_signed.is_some() {
            self.fault(
                "spec.tls",
                "takes exactly one of selfSigned and secretName: write one of them, or leave spec.tls out",
            );
        }
        if let Some(name) = &tls.secret_name {
            self.secret("spec.tls.secretName", name);
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
        self.annotations(&exposure.annotations);
        Exposure { type_, node_port: exposure.node_port, annotations: exposure.annotations }
    }

    fn annotations(&mut self, annotations: &BTreeMap<String, String>) {
        const FIELD: &str = "spec.exposure.annotations";
        if annotations.len() > 64 {
            self.fault(FIELD, format!("{} are too many: write at most 64", annotations.len()));
        }
        for name in annotations.keys().filter(|name| !notation::is_annotation(name)) {
            let cure = "write at most 63 letters, digits, dashes, underscores and dots, with a domain before them if need be, such as example.com/internal";
            self.fault(FIELD, format!("{name:?} is no name of an annotation: {cure}"));
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
                format!("{replicas} is out of range: write a number of pods from 1 to 20"),
            );
        }
        let (resources, _) = self.resources(component, workload.resources.as_ref());
        Workload { replicas, resources }
    }

    fn mongodb(&mut self, mongodb: &api::MongoDb) -> Served<MongoDb> {
        let own = [
            mongodb.members.is_some(),
            mongodb.version.is_some(),
            mongodb.storage.is_some(),
            mongodb.resources.is_some(),
        ];
        if mongodb.external.is_some() {
            self.external(Component::MongoDb, own.contains(&true), "members, storage, resources and version");
            self.no_data_left_behind(Component::MongoDb);
            return Served::External;
        }
        let wanted = mongodb.members.unwrap_or(1);
        let members = MemberCount::new(wanted).unwrap_or_else(|| {
            let message = format!(
                "{wanted} is not possible: it takes 1, 3, 5 or 7, since only an odd number always has a majority"
            );
            self.fault("spec.mongodb.members", message);
            MemberCount::ONE
        });
        // A pod goes only when the set counts on it no more; until it has been asked, it may.
        let there = self.replicas_there(Component::MongoDb).unwrap_or(0);
        let pods = if there > wanted { self.observed.mongodb_members.unwrap_or(there).max(wanted) } else { wanted };
        let version = self.mongodb_version(mongodb.version.as_deref().unwrap_or(defaults::MONGODB_VERSION));
        let each = self.server(Component::MongoDb, mongodb.storage.as_ref(), mongodb.resources.as_ref());
        Served::Managed(MongoDb { members, pods, established: self.is_established(), version, each })
    }

    fn mongodb_version(&mut self, wanted: &str) -> String {
        // What serves counts, not what was last asked for: an upgrade may be stuck. Only where nothing serves is that all there is to go by.
        let serving = self.observed.pods_of(Component::MongoDb).filter(|pod| is_ready(pod));
        let mut specs: Vec<&PodSpec> = serving.filter_map(|pod| pod.spec.as_ref()).collect();
        if specs.is_empty() {
            specs.extend(self.set_there(Component::MongoDb).and_then(|set| set.spec.as_ref()?.template.spec.as_ref()));
        }
        let version = |spec: &&PodSpec| images::version(spec.containers.first()?.image.as_deref()?).map(str::to_owned);
        let before: BTreeSet<String> = specs.iter().filter_map(version).collect();
        let before = if before.is_empty() { vec![None] } else { before.iter().map(|it| Some(it.as_str())).collect() };
        if let Some(message) = before.into_iter().find_map(|from| mongodb::release::path(from, wanted).err()) {
            self.fault("spec.mongodb.version", message);
        }
        wanted.to_owned()
    }

    /// Whether the replica set has ever served: it does, or its Secret says so.
    fn is_established(&self) -> bool {
        let name = format!("{}-{}", self.platform, Component::MongoDb.name());
        let mut secrets = self.observed.secrets.iter().filter(|secret| secret.name_any() == name);
        self.observed.mongodb_serves || secrets.any(|secret| secret.annotations().contains_key(ESTABLISHED))
    }

    fn redis(&mut self, redis: &api::Redis) -> Served<Servers> {
        if redis.external.is_some() {
            let own = redis.replicas.is_some() || redis.storage.is_some() || redis.resources.is_some();
            self.external(Component::Redis, own, "replicas, storage and resources");
            return Served::External;
        }
        let replicas = self.servers(Component::Redis, redis.replicas, &[1, 3]);
        let each = self.server(Component::Redis, redis.storage.as_ref(), redis.resources.as_ref());
        Served::Managed(Servers { replicas, each })
    }

    fn rabbitmq(&mut self, rabbitmq: &api::RabbitMq) -> Served<Servers> {
        if rabbitmq.external.is_some() {
            let own = rabbitmq.replicas.is_some() || rabbitmq.storage.is_some() || rabbitmq.resources.is_some();
            self.external(Component::RabbitMq, own, "replicas, storage and resources");
            return Served::External;
        }
        let replicas = self.servers(Component::RabbitMq, rabbitmq.replicas, &[1, 3, 5]);
        let each = self.server(Component::RabbitMq, rabbitmq.storage.as_ref(), rabbitmq.resources.as_ref());
        Served::Managed(Servers { replicas, each })
    }

    fn object_storage(&mut self, storage: &api::ObjectStorage) -> ObjectStorage {
        if let Some(external) = &storage.external {
            if storage.managed.is_some() {
                self.fault("spec.objectStorage", "takes one of managed and external: leave one out");
            }
            self.no_data_left_behind(Component::ObjectStorage);
            return ObjectStorage::External(self.bucket(external));
        }
        let managed = storage.managed.clone().unwrap_or_default();
        let server = self.server(Component::ObjectStorage, managed.storage.as_ref(), managed.resources.as_ref());
        ObjectStorage::Managed(server)
    }

    fn bucket(&mut self, external: &api::ExternalObjectStorage) -> Bucket {
        const FIELD: &str = "spec.objectStorage.external";
        let public_url = external.public_url.as_ref().unwrap_or(&external.endpoint);
        let urls = [
            ("endpoint", Some(&external.endpoint), "https://s3.example.com"),
            ("publicUrl", external.public_url.as_ref(), "https://files.example.com"),
        ];
        for (field, url, example) in urls {
            if let Some(url) = url.filter(|url| !notation::is_base_url(url)) {
                let cure = format!("write a URL without user, path and query, such as {example}");
                self.fault(format!("{FIELD}.{field}"), format!("{url:?} is not the URL of a server: {cure}"));
            }
        }
        if let Some(region) = external.region.as_ref().filter(|region| !notation::is_region(region)) {
            let cure = "write the region of the bucket, such as eu-central-1, or leave region out";
            self.fault(format!("{FIELD}.region"), format!("{region:?} is no region: {cure}"));
        }
        if !notation::is_bucket(&external.bucket) {
            let cure = "write a bucket of 3 to 63 lower-case letters, digits, dots and dashes";
            self.fault(format!("{FIELD}.bucket"), format!("{:?} is no bucket: {cure}", external.bucket));
        }
        Bucket {
            endpoint: external.endpoint.trim_end_matches('/').to_owned(),
            region: external.region.clone().unwrap_or_else(|| defaults::REGION.to_owned()),
            name: external.bucket.clone(),
            path_style: external.path_style.unwrap_or_default(),
            public_url: public_url.trim_end_matches('/').to_owned(),
        }
    }

    /// How many servers of a kind: one of `allowed`, and never fewer than there are.
    fn servers(&mut self, component: Component, wanted: Option<i32>, allowed: &[i32]) -> i32 {
        let wanted = wanted.unwrap_or(1);
        let field = format!("{}.replicas", path(component));
        if !allowed.contains(&wanted) {
            let (last, others) = allowed.split_last().unwrap_or((&1, &[]));
            let others = others.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            self.fault(field, format!("{wanted} is not possible: it takes {others} or {last}; write one of these"));
        } else if let Some(there) = self.replicas_there(component)
            && wanted < there
        {
            let message = format!(
                "cannot shrink from {there} to {wanted}, since data may be on the servers that would go: put {there} back"
            );
            self.fault(field, message);
        }
        wanted
    }

    fn external(&mut self, component: Component, has_own: bool, excluded: &str) {
        if has_own {
            let message =
                format!("excludes {excluded}, which describe what the platform has of its own: leave them out");
            self.fault(format!("{}.external", path(component)), message);
        }
    }

    /// Data do not move by themselves from a server of the platform's own to somebody else's.
    fn no_data_left_behind(&mut self, component: Component) {
        if self.set_there(component).is_some() {
            let field = match component {
                Component::ObjectStorage => "spec.objectStorage.external",
                _ => "spec.mongodb.external",
            };
            let cure = "take it out again, or make a new platform and move the data";
            self.fault(field, format!("cannot be set while the platform has data of its own: {cure}"));
        }
    }

    fn replicas_there(&self, component: Component) -> Option<i32> {
        self.set_there(component)?.spec.as_ref()?.replicas
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
        if size.milli() < quantity::milli(LEAST_SIZE) {
            let cure = format!("write a size of at least {LEAST_SIZE}, such as 10Gi");
            self.fault(format!("{field}.size"), format!("{:?} is no such size: {cure}", size.as_str()));
        }
        if let Some(class) = &storage.class_name {
            let what = "a StorageClass of the cluster, or leave className out for its default";
            self.object_name(format!("{field}.className"), class, what);
        }
        let storage = Storage { size, class_name: storage.class_name };
        if let Some(there) = self.storage_there(component)
            && there.size.milli() > storage.size.milli()
        {
            let message = format!(
                "cannot shrink to {} once the volumes of {} exist: write {} or more",
                storage.size, there.size, there.size
            );
            self.fault(format!("{field}.size"), message);
        } else if let Some(there) = self.storage_there(component)
            && there.class_name != storage.class_name
        {
            let message = format!(
                "cannot change once the volumes exist: put {} back",
                there.class_name.as_deref().unwrap_or("none")
            );
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
        for (part, amounts) in [("requests", &requests), ("limits", &limits)] {
            self.amount(format!("{field}.{part}.cpu"), amounts.cpu.as_ref(), None);
            self.amount(format!("{field}.{part}.memory"), amounts.memory.as_ref(), Some(LEAST_MEMORY));
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

    /// An amount that is above zero, and not below the `least` of memory.
    fn amount(&mut self, field: String, amount: Option<&Quantity>, least: Option<&str>) {
        let Some(amount) = amount else { return };
        let fits = |amount: i128| amount > 0 && least.and_then(quantity::milli).is_none_or(|least| amount >= least);
        if !amount.milli().is_some_and(fits) {
            let cure = least.map_or_else(
                || "write an amount of CPU above zero, such as 500m or 2".to_owned(),
                |least| format!("write an amount of memory of at least {least}, such as 256Mi"),
            );
            self.fault(field, format!("{:?} is no such amount: {cure}", amount.as_str()));
        }
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

fn text(quantity: Option<&Quantity>) -> &str {
    quantity.map_or("none", Quantity::as_str)
}
