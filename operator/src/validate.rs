//! The validate step: parse, don't validate. A [`ChatPlatform`] and what is [`Observed`] become a [`Platform`], typed and with every
//! default resolved, or a list of all that is wrong.
//!
//! The rules are those of the resource's schema, run again: an object that was stored under an older definition passes through here too.

mod defaults;
mod platform;
mod release;
mod spec;

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource as _, ResourceExt as _};
use rand::CryptoRng;

pub use platform::{
    Email, Exposure, Images, MemberCount, MongoDb, Platform, Server, Storage, TlsSource, Upstreams, Workload,
};

use crate::api::ChatPlatform;
use crate::build::{Component, edge};
use crate::observe::Observed;
use crate::secrets::{self, Existing, Material, Names};

/// Why a document cannot become a platform.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The document says what cannot be. Nothing but a change of it helps.
    #[error("{}", list(.0))]
    Spec(Vec<Fault>),
    /// The document names a Secret that is not there or lacks a key.
    #[error("{}", list(.0))]
    Reference(Vec<Fault>),
    /// The platform's own Secrets cannot be completed.
    #[error(transparent)]
    Secrets(#[from] secrets::Error),
}

impl Error {
    /// The word for the condition's reason, the event's reason and the metric's label.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Spec(_) => "InvalidSpec",
            Self::Reference(_) => "ReferenceInvalid",
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
    let (tls, email) = references(&parsed, observed).map_err(Error::Reference)?;
    let names = Names {
        platform: document.name_any(),
        namespace: document.namespace().unwrap_or_default(),
        host: document.spec.host.clone(),
        mongodb_members: parsed.mongodb.members.get().unsigned_abs(),
    };
    let existing =
        Existing::new(observed.secrets.iter().cloned()).with_data_stored(observed.has_claim(Component::MongoDb));
    let material = Material::complete(&existing, &names, rng, now)?;
    Ok(Platform {
        owner: document.controller_owner_ref(&()).unwrap_or_default(),
        upstreams: upstreams(&names, observed),
        names,
        material,
        tls,
        email,
        host: document.spec.host.clone(),
        deletion_policy: document.spec.deletion_policy.unwrap_or_default(),
        version: parsed.version,
        images: parsed.images,
        exposure: parsed.exposure,
        edge: parsed.edge,
        gateway: parsed.gateway,
        auth: parsed.auth,
        chat: parsed.chat,
        media: parsed.media,
        notification: parsed.notification,
        web: parsed.web,
        mongodb: parsed.mongodb,
        redis: parsed.redis,
        rabbitmq: parsed.rabbitmq,
        object_storage: parsed.object_storage,
    })
}

/// The user's own Secrets, checked for the keys that pods will mount: a pod that misses one would not start and not say why.
fn references(parsed: &spec::Parsed, observed: &Observed) -> Result<(TlsSource, Option<Email>), Vec<Fault>> {
    let mut faults = Vec::new();
    let tls = match &parsed.tls_secret {
        None => TlsSource::Own,
        Some(name) => {
            let field = "spec.tls.secretName";
            let certificate = value(observed.tls.as_ref(), name, "tls.crt", field, &mut faults);
            value(observed.tls.as_ref(), name, "tls.key", field, &mut faults);
            TlsSource::Secret { name: name.clone(), certificate }
        }
    };
    let credentials = parsed.email.as_ref().and_then(|email| email.credentials.as_ref());
    if let Some(name) = credentials {
        for key in ["username", "password"] {
            value(observed.email.as_ref(), name, key, "spec.email.credentialsSecretRef.name", &mut faults);
        }
    }
    if faults.is_empty() { Ok((tls, parsed.email.clone())) } else { Err(faults) }
}

fn value(secret: Option<&Secret>, name: &str, key: &str, field: &str, faults: &mut Vec<Fault>) -> String {
    let mut fault = |message| faults.push(Fault { field: field.into(), message });
    let Some(secret) = secret else {
        // Said once, not once for each key.
        if matches!(key, "tls.crt" | "username") {
            fault(format!("there is no Secret {name:?} in this namespace: create it or correct the name"));
        }
        return String::new();
    };
    match secret.data.as_ref().and_then(|data| data.get(key)) {
        Some(value) if !value.0.is_empty() => String::from_utf8_lossy(&value.0).into_owned(),
        _ => {
            fault(format!("the Secret {name:?} has no key {key:?}: add it"));
            String::new()
        }
    }
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
