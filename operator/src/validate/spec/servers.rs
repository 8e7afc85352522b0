//! The servers that hold data: what is asked for, and what it may become of what is there.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PodSpec;
use kube::ResourceExt as _;

use super::{Checker, path};
use crate::api::{self, LEAST_SIZE, Quantity, quantity};
use crate::build::secrets::ESTABLISHED;
use crate::build::{Component, images, volume, workload};
use crate::observe::is_ready;
use crate::validate::platform::{Bucket, MemberCount, MongoDb, ObjectStorage, Served, Server, Servers, Storage};
use crate::validate::{defaults, mongodb_release, notation};

impl Checker<'_> {
    pub(super) fn mongodb(&mut self, mongodb: &api::MongoDb) -> Served<MongoDb> {
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
        let asked_for = self.set_there(Component::MongoDb).and_then(|set| set.spec.as_ref()?.template.spec.as_ref());
        if specs.is_empty() {
            specs.extend(asked_for);
        }
        let version = |spec: &&PodSpec| images::version(spec.containers.first()?.image.as_deref()?).map(str::to_owned);
        let before: BTreeSet<String> = specs.iter().filter_map(version).collect();
        let asked_for = asked_for.as_ref().and_then(version);
        if self.hibernated && asked_for.is_some_and(|version| version != wanted) {
            let cure = "put it back, or set hibernated to false with the same change";
            let message = format!(
                "cannot change while spec.hibernated is true, since no server runs that would take up the data: {cure}"
            );
            self.fault("spec.mongodb.version", message);
        }
        // Whether it can be at all, and whether it can follow each of those.
        let mut checks = before.iter().map(|from| Some(from.as_str())).chain([None]);
        if let Some(message) = checks.find_map(|from| mongodb_release::path(from, wanted).err()) {
            self.fault("spec.mongodb.version", message);
        }
        wanted.to_owned()
    }

    /// Whether the replica set has ever served: it does, or its Secret says so.
    fn is_established(&self) -> bool {
        let name = self.object(Component::MongoDb);
        let mut secrets = self.observed.secrets.iter().filter(|secret| secret.name_any() == name);
        self.observed.mongodb_serves || secrets.any(|secret| secret.annotations().contains_key(ESTABLISHED))
    }

    pub(super) fn redis(&mut self, redis: &api::Redis) -> Served<Servers> {
        if redis.external.is_some() {
            let own = redis.replicas.is_some() || redis.storage.is_some() || redis.resources.is_some();
            self.external(Component::Redis, own, "replicas, storage and resources");
            return Served::External;
        }
        let replicas = self.servers(Component::Redis, redis.replicas, &[1, 3]);
        let each = self.server(Component::Redis, redis.storage.as_ref(), redis.resources.as_ref());
        Served::Managed(Servers { replicas, each })
    }

    pub(super) fn rabbitmq(&mut self, rabbitmq: &api::RabbitMq) -> Served<Servers> {
        if rabbitmq.external.is_some() {
            let own = rabbitmq.replicas.is_some() || rabbitmq.storage.is_some() || rabbitmq.resources.is_some();
            self.external(Component::RabbitMq, own, "replicas, storage and resources");
            return Served::External;
        }
        let replicas = self.servers(Component::RabbitMq, rabbitmq.replicas, &[1, 3, 5]);
        let each = self.server(Component::RabbitMq, rabbitmq.storage.as_ref(), rabbitmq.resources.as_ref());
        Served::Managed(Servers { replicas, each })
    }

    pub(super) fn object_storage(&mut self, storage: &api::ObjectStorage) -> ObjectStorage {
        if let Some(external) = &storage.external {
            if storage.managed.is_some() {
                self.fault("spec.objectStorage", "takes one of managed and external: leave one out");
            }
            self.no_data_left_behind(Component::ObjectStorage);
            let urls = (external.endpoint.as_str(), external.public_url.as_deref());
            let (region, name) = (external.region.as_deref(), &external.bucket);
            let bucket = self.bucket("spec.objectStorage.external", urls, region, name);
            return ObjectStorage::External(Bucket { path_style: external.path_style.unwrap_or_default(), ..bucket });
        }
        let managed = storage.managed.clone().unwrap_or_default();
        let server = self.server(Component::ObjectStorage, managed.storage.as_ref(), managed.resources.as_ref());
        ObjectStorage::Managed(server)
    }

    /// A bucket that somebody else keeps, as `field` tells of it: the service's URL, for browsers too where that is another, and its region.
    pub(super) fn bucket(
        &mut self,
        field: &str,
        (endpoint, public_url): (&str, Option<&str>),
        region: Option<&str>,
        name: &str,
    ) -> Bucket {
        let urls = [
            ("endpoint", Some(endpoint), "https://s3.example.com"),
            ("publicUrl", public_url, "https://files.example.com"),
        ];
        for (which, url, example) in urls {
            if let Some(url) = url.filter(|url| !notation::is_base_url(url)) {
                let cure = format!("write a URL without user, path and query, such as {example}");
                self.fault(format!("{field}.{which}"), format!("{url:?} is not the URL of a server: {cure}"));
            }
        }
        if let Some(region) = region.filter(|region| !notation::is_region(region)) {
            let cure = "write the region of the bucket, such as eu-central-1, or leave region out";
            self.fault(format!("{field}.region"), format!("{region:?} is no region: {cure}"));
        }
        if !notation::is_bucket(name) {
            let cure = "write a bucket of 3 to 63 lower-case letters, digits, dots and dashes";
            self.fault(format!("{field}.bucket"), format!("{name:?} is no bucket: {cure}"));
        }
        Bucket {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.unwrap_or(defaults::REGION).to_owned(),
            name: name.to_owned(),
            path_style: false,
            public_url: public_url.unwrap_or(endpoint).trim_end_matches('/').to_owned(),
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

    /// How many servers there are, or were when they went to sleep.
    fn replicas_there(&self, component: Component) -> Option<i32> {
        let set = self.set_there(component)?;
        let asleep = || set.annotations().get(workload::AWAKE)?.parse().ok();
        match set.spec.as_ref()?.replicas {
            Some(0) => asleep(),
            replicas => replicas,
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
        let name = self.object(component);
        self.observed.stateful_sets.iter().find(|set| set.name_any() == name)
    }

    /// What the objects of a component are called.
    fn object(&self, component: Component) -> String {
        format!("{}-{}", self.platform, component.name())
    }
}
