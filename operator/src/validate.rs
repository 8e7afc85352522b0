//! The validate step: parse, don't validate. A [`ChatPlatform`] and what is [`Observed`] become a [`Platform`], typed and with every
//! default resolved, or a list of all that is wrong.
//!
//! The rules are those of the resource's schema, run again: an object that was stored under an older definition passes through here too.

mod defaults;
mod hibernation;
mod issued;
pub mod mongodb_release;
mod notation;
mod platform;
mod release;
mod spec;
mod upgrade;

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource as _, ResourceExt as _};
use rand::CryptoRng;

pub(crate) use defaults::{MONGODB_VERSION, volume as default_volume};
pub use hibernation::Hibernation;
pub use platform::{
    Autoscaling, Backup, Bucket, Email, Exposure, Images, MemberCount, MongoDb, ObjectStorage, OpenSearch, Platform,
    PodOverrides, Push, Served, Server, Servers, Settings, Storage, TlsSource, Tracing, Upstreams, Workload,
};
pub use upgrade::{Step, Upgrade, WAVES, has_condition};

use crate::api::ChatPlatform;
use crate::build::{Component, Optional, edge};
use crate::observe::Observed;
use crate::reason::Reason;
use crate::secrets::rotation::{self, Acceptance, Circumstances, Heard, Kind, State};
use crate::secrets::{self, Existing, Externals, Material, Names};

/// Why a document cannot become a platform.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The document says what cannot be. Nothing but a change of it helps.
    #[error("{}", list(.0))]
    Spec(Vec<Fault>),
    /// The document names a Secret that is not there or lacks a key.
    #[error("{}", list(.0))]
    Reference(Vec<Fault>),
    /// The document asks for what the cluster does not know.
    #[error("{}", list(.0))]
    Kind(Vec<Fault>),
    /// The platform's own Secrets cannot be completed.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
}

impl Error {
    /// The word for the condition's reason, the event's reason and the metric's label.
    #[must_use]
    pub fn category(&self) -> Reason {
        match self {
            Self::Spec(_) => Reason::InvalidSpec,
            Self::Reference(_) => Reason::ReferenceInvalid,
            Self::Kind(_) => Reason::KindMissing,
            Self::Secrets(error) => error.category(),
        }
    }
}

/// One thing that is wrong: where, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Path of the field, such as `spec.mongodb.members`.
    pub field: String,
    /// The value, what is allowed, and the cure.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Makes the platform that a document describes. What is secret is taken from the Secrets that are there and, where missing, made
/// with `rng` and `now`.
pub fn validate(
    document: &ChatPlatform,
    observed: &Observed,
    rng: &mut (impl CryptoRng + ?Sized),
    now: Timestamp,
) -> Result<Platform, Error> {
    let parsed = spec::parse(document, observed).map_err(Error::Spec)?;
    known(document, observed).map_err(Error::Kind)?;
    let references = references(document, &parsed, observed).map_err(Error::Reference)?;
    let names = Names {
        platform: document.name_any(),
        namespace: document.namespace().unwrap_or_default(),
        host: document.spec.host.clone(),
        mongodb_members: parsed.mongodb.managed().map_or(0, |mongodb| mongodb.members.get().unsigned_abs()),
        redis_replicas: parsed.redis.managed().map_or(0, |redis| redis.replicas.unsigned_abs()),
        rabbitmq_replicas: parsed.rabbitmq.managed().map_or(0, |rabbitmq| rabbitmq.replicas.unsigned_abs()),
    };
    let existing =
        Existing::new(observed.secrets.iter().cloned()).with_data_stored(observed.has_claim(Component::MongoDb));
    let [signing_keys, message_keys, credentials] =
        Kind::ALL.map(|kind| State::recorded(&observed.secrets, &names, kind));
    let recorded = [signing_keys?, message_keys?, credentials?];
    let material = Material::complete(&existing, &references.externals, &names, rng, now)?;
    let mut platform = Platform {
        owner: document.controller_owner_ref(&()).unwrap_or_default(),
        upstreams: upstreams(&names, observed),
        names,
        material,
        rotation: Vec::new(),
        tls: references.tls,
        externals: references.externals,
        email: parsed.email,
        push: parsed.push,
        search: parsed.search,
        backup: parsed.backup,
        host: document.spec.host.clone(),
        deletion_policy: document.spec.deletion_policy.unwrap_or_default(),
        hibernation: Hibernation::of(document, observed),
        network_policy: document.spec.network_policy.as_ref().and_then(|policy| policy.mode).unwrap_or_default(),
        operator_namespace: observed.operator_namespace.clone(),
        version: parsed.version,
        upgrade: None,
        images: parsed.images,
        exposure: parsed.exposure,
        edge: parsed.edge,
        gateway: parsed.gateway,
        auth: parsed.auth,
        chat: parsed.chat,
        media: parsed.media,
        notification: parsed.notification,
        web: parsed.web,
        settings: parsed.settings,
        mongodb: parsed.mongodb,
        redis: parsed.redis,
        rabbitmq: parsed.rabbitmq,
        object_storage: parsed.object_storage,
    };
    let serves = document.status.as_ref().and_then(|status| status.version.as_deref());
    platform.upgrade = Upgrade::of(&platform, serves, observed);
    let circumstances = Circumstances {
        is_asleep: platform.hibernation != Hibernation::Awake,
        is_upgrading: platform.upgrade.is_some(),
    };
    let wish = (platform.owner.uid.as_str(), &parsed.rotation, circumstances);
    let acceptances = acceptances(&platform.material, observed);
    let heard = Heard { pods: &observed.keys, servers: &acceptances };
    platform.rotation = rotation::advance(&mut platform.material, recorded, wish, heard, rng, now);
    Ok(platform)
}

/// What each of the platform's own servers accepts, as far as this operator has made it agree.
fn acceptances(material: &Material, observed: &Observed) -> Vec<Acceptance> {
    let acceptance = |server| Acceptance { server, generations: observed.accepted.get(&server).cloned() };
    material.own_servers().into_iter().map(acceptance).collect()
}

/// Whether the cluster knows the kinds that the document asks for.
fn known(document: &ChatPlatform, observed: &Observed) -> Result<(), Vec<Fault>> {
    let asked = Optional::ALL.into_iter().filter(|kind| kind.is_asked_for(&document.spec));
    let fault = |kind: Optional| {
        let resource = kind.resource();
        let message = format!("the cluster knows no {} of {}: {}", resource.kind, resource.api_version, kind.cure());
        Fault { field: kind.field().into(), message }
    };
    let faults: Vec<Fault> = asked.filter(|kind| observed.lacks(*kind)).map(fault).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// What the document says of Secrets of the user's own.
struct References {
    tls: TlsSource,
    externals: Externals,
}

/// The user's own Secrets, checked for the keys that are read from them: a pod that misses one would not start and not say why.
fn references(document: &ChatPlatform, parsed: &spec::Parsed, observed: &Observed) -> Result<References, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut get = |name: &str, keys: &[&str], field: &str| {
        let secret = observed.named.get(name);
        let missing = missing(secret, name, keys, field);
        let is_whole = missing.is_empty();
        faults.extend(missing);
        secret.filter(|_| is_whole)
    };
    let mut externals = Externals::default();
    let own_certificate = match &parsed.tls {
        spec::Tls::Secret(name) => get(name, &["tls.crt", "tls.key"], "spec.tls.secretName"),
        spec::Tls::Own | spec::Tls::Issued(_) => None,
    };
    if let Some(name) = parsed.email.as_ref().and_then(|email| email.credentials.as_ref()) {
        get(name, &["username", "password"], "spec.email.credentialsSecretRef.name");
    }
    if let Some(name) = parsed.search.as_ref().and_then(|search| search.credentials.as_ref()) {
        get(name, &["username", "password"], "spec.search.openSearch.credentialsSecretRef.name");
    }
    let service_account = parsed
        .push
        .as_ref()
        .and_then(|push| get(&push.credentials, &[secrets::SERVICE_ACCOUNT], "spec.push.credentialsSecretRef.name"));
    if let Some(backup) = &parsed.backup
        && let Some(secret) =
            get(&backup.credentials, &spec::ACCOUNT, "spec.backup.objectStorage.credentialsSecretRef.name")
    {
        externals.insert(Externals::BACKUP, secret.clone());
    }
    for external in spec::externals(&document.spec) {
        if let Some(secret) = get(external.secret, external.keys, external.field) {
            externals.insert(external.component.name(), secret.clone());
        }
    }
    if let Some(secret) = own_certificate {
        match secrets::check_certificate(secret) {
            Ok(()) => externals.insert(Component::Edge.name(), secret.clone()),
            Err(fault) => faults.push(Fault {
                field: "spec.tls.secretName".into(),
                message: format!(
                    "the Secret {:?}, {fault}; the edge keeps the certificate that it has",
                    secret.name_any()
                ),
            }),
        }
    }
    if let Some(secret) = service_account
        && let Err(fault) = secrets::check_service_account(secret)
    {
        faults.push(Fault {
            field: "spec.push.credentialsSecretRef.name".into(),
            message: format!("the Secret {:?}, {fault}", secret.name_any()),
        });
    }
    let tls = match &parsed.tls {
        spec::Tls::Own => TlsSource::Own,
        spec::Tls::Secret(_) => TlsSource::Secret,
        spec::Tls::Issued(issuer) => {
            let found = issued::look(document, observed);
            if let Some(secret) = found.certificate {
                externals.insert(Component::Edge.name(), secret.clone());
            }
            TlsSource::Issued { issuer: issuer.clone(), waits: found.waits }
        }
    };
    if faults.is_empty() { Ok(References { tls, externals }) } else { Err(faults) }
}

/// What is wrong with a Secret that shall have all of `keys`.
fn missing(secret: Option<&Secret>, name: &str, keys: &[&str], field: &str) -> Vec<Fault> {
    let fault = |message| Fault { field: field.into(), message };
    let Some(secret) = secret else {
        let keys = keys.join(" and ");
        let cure = format!("create it with {keys}, or correct the name");
        return vec![fault(format!("there is no Secret {name:?} in this namespace: {cure}"))];
    };
    let has = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).is_some_and(|value| !value.0.is_empty());
    keys.iter()
        .filter(|key| !has(key))
        .map(|key| fault(format!("the Secret {name:?} has no key {key:?}: add it")))
        .collect()
}

/// The addresses that the edge passes requests on to: those of the Services, or while one is missing those that the edge has now.
fn upstreams(names: &Names, observed: &Observed) -> Option<Upstreams> {
    let address = |component: Component| observed.cluster_ip(&names.object(component.name()));
    let kept = || {
        let name = names.object(Component::Edge.name());
        let files = observed.config_maps.iter().find(|files| files.name_any() == name)?;
        files.annotations().get(edge::UPSTREAMS)?.parse().ok()
    };
    match (address(Component::Gateway), address(Component::Web)) {
        (Some(gateway), Some(web)) => Some(Upstreams { gateway, web }),
        _ => kept(),
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
