//! Pieces of a container: ports, environment, mounts.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceRequirements, SecretKeySelector,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::component::Component;
use super::{images, security};
use crate::validate::Platform;

/// A container of a component, with its image, security context and resources; what it does is added by the component's file.
#[must_use]
pub fn container(platform: &Platform, component: Component, name: &str, resources: ResourceRequirements) -> Container {
    Container {
        name: name.into(),
        image: Some(images::image(platform, component)),
        image_pull_policy: Some(platform.images.pull_policy.as_str().into()),
        resources: Some(resources),
        security_context: Some(security::container()),
        ..Container::default()
    }
}

/// A container that runs for a moment before the others, with the component's image.
#[must_use]
pub fn init_container(platform: &Platform, component: Component, name: &str, command: &[&str]) -> Container {
    let amounts = |cpu: &str, memory: &str| {
        Some([("cpu".into(), Quantity(cpu.into())), ("memory".into(), Quantity(memory.into()))].into())
    };
    let resources = ResourceRequirements {
        requests: amounts("10m", "16Mi"),
        limits: Some([("memory".into(), Quantity("64Mi".into()))].into()),
        ..ResourceRequirements::default()
    };
    Container { command: Some(words(command)), ..container(platform, component, name, resources) }
}

/// A command or arguments.
#[must_use]
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// A port that the container listens on.
#[must_use]
pub fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

/// A variable with a value.
#[must_use]
pub fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into()), value_from: None }
}

/// A variable with a value from the pod's own description, such as `metadata.name`.
#[must_use]
pub fn env_of_pod(name: &str, field: &str) -> EnvVar {
    let field_ref = ObjectFieldSelector { api_version: Some("v1".into()), field_path: field.into() };
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource { field_ref: Some(field_ref), ..EnvVarSource::default() }),
        value: None,
    }
}

/// A variable with a value from a Secret.
#[must_use]
pub fn env_of_secret(name: &str, secret: &str, key: &str) -> EnvVar {
    let key = SecretKeySelector { name: secret.into(), key: key.into(), optional: None };
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() }),
        value: None,
    }
}

/// A volume that the container may write.
#[must_use]
pub fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.into(), mount_path: path.into(), ..VolumeMount::default() }
}

/// A volume that the container may only read.
#[must_use]
pub fn mount_read_only(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount(volume, path) }
}
