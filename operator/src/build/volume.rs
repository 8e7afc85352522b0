//! Volumes of a pod.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    ProjectedVolumeSource, SecretProjection, SecretVolumeSource, Volume, VolumeProjection, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ObjectMeta;

use super::component::Component;
use super::labels;
use crate::validate::{Platform, Storage};

/// The name of the volume claim of every server that holds data.
pub const DATA: &str = "data";

// Readable by the pod's group (its fsGroup), by nobody else, and writable by no one.
pub(super) const MODE: i32 = 0o440;

/// The keys of a `ConfigMap` as files.
#[must_use]
pub fn config_map(volume: &str, config_map: &str) -> Volume {
    Volume {
        name: volume.into(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.into(),
            default_mode: Some(MODE),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The keys of a Secret as files.
#[must_use]
pub fn secret(volume: &str, secret: &str) -> Volume {
    Volume {
        name: volume.into(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.into()),
            default_mode: Some(MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The keys of a `ConfigMap` and those of a Secret as files of one folder.
#[must_use]
pub fn config_map_and_secret(volume: &str, config_map: &str, secret: &str) -> Volume {
    let sources = vec![
        VolumeProjection {
            config_map: Some(ConfigMapProjection { name: config_map.into(), ..ConfigMapProjection::default() }),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            secret: Some(SecretProjection { name: secret.into(), ..SecretProjection::default() }),
            ..VolumeProjection::default()
        },
    ];
    Volume {
        name: volume.into(),
        projected: Some(ProjectedVolumeSource { default_mode: Some(MODE), sources: Some(sources) }),
        ..Volume::default()
    }
}

/// Room on the node's disk that goes with the pod.
#[must_use]
pub fn scratch(volume: &str, limit: &str) -> Volume {
    Volume {
        name: volume.into(),
        empty_dir: Some(EmptyDirVolumeSource { size_limit: Some(Quantity(limit.into())), medium: None }),
        ..Volume::default()
    }
}

/// Room in the node's memory that goes with the pod, for what must never reach a disk.
#[must_use]
pub fn memory(volume: &str) -> Volume {
    Volume {
        name: volume.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".into()),
            size_limit: Some(Quantity("1Mi".into())),
        }),
        ..Volume::default()
    }
}

/// The template of the claim [`DATA`].
#[must_use]
pub fn claim(platform: &Platform, component: Component, storage: &Storage) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(DATA.into()),
            labels: Some(labels::labels(platform, component)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".into(), Quantity(storage.size.to_string()))].into()),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: storage.class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
