//! Secrets, from the material that `crate::secrets` keeps.

use k8s_openapi::api::core::v1::Secret;

use super::component::Component;
use super::labels;
use crate::api::DeletionPolicy;
use crate::secrets::rotation::ANNOTATION;
use crate::secrets::{EDGE_TLS, MONGODB_TLS};
use crate::validate::Platform;

/// Secrets that are made anew whenever they are missing, and with which nothing is lost: certificates of 90 days.
const PASSING: [&str; 2] = [EDGE_TLS, MONGODB_TLS];

/// Annotation of the Secret `<platform>-mongodb`, from the moment that the replica set serves: it has data, so members that are all empty
/// have lost them, and no new set is made of them. It lasts as long as the Secret, and with it as long as the volumes.
pub const ESTABLISHED: &str = "chatplatform.dev/replica-set-established";

/// Every Secret of a platform. With deletion policy `Retain` those that data, people or their clients depend on belong to nobody and so
/// stay when the platform goes; one of the same name takes them up again.
#[must_use]
pub fn build(platform: &Platform) -> Vec<Secret> {
    let passing = PASSING.map(|name| platform.names.object(name));
    let replica_set = platform.names.object(Component::MongoDb.name());
    platform
        .material
        .rendered(&platform.names)
        .iter()
        .filter_map(|rendered| {
            let component = Component::from_name(rendered.component())?;
            let mut metadata = labels::metadata(platform, component);
            if platform.deletion_policy == DeletionPolicy::Retain && !passing.iter().any(|name| name == rendered.name())
            {
                metadata.owner_references = None;
            }
            if *rendered.name() == replica_set && platform.mongodb.managed().is_some_and(|mongodb| mongodb.established)
            {
                metadata.annotations.get_or_insert_default().insert(ESTABLISHED.into(), "true".into());
            }
            if let Some(rotation) = platform
                .rotation
                .iter()
                .find(|rotation| platform.names.object(rotation.kind.object()) == rendered.name())
            {
                metadata.annotations.get_or_insert_default().insert(ANNOTATION.into(), rotation.state.text());
            }
            Some(rendered.to_secret(metadata))
        })
        .collect()
}
