//! The media service.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::component::Component;
use super::object_storage;
use super::service::Shape;
use crate::secrets::Names;
use crate::validate::{ObjectStorage, Platform};

/// The objects of the media service.
#[must_use]
pub fn build(platform: &Platform) -> (Service, Deployment) {
    let shape = Shape::new(platform, Component::Media, &platform.media).mongodb().rabbitmq();
    let shape = match &platform.object_storage {
        ObjectStorage::Managed(_) => shape
            .setting("object_storage", "endpoint", object_storage::endpoint(platform))
            .setting("object_storage", "region", Names::REGION)
            .setting("object_storage", "bucket", Names::BUCKET)
            .setting("object_storage", "path_style", "true"),
        ObjectStorage::External(bucket) => shape
            .setting("object_storage", "endpoint", &bucket.endpoint)
            .setting("object_storage", "region", &bucket.region)
            .setting("object_storage", "bucket", &bucket.name)
            .setting("object_storage", "path_style", bucket.path_style.to_string()),
    };
    let shape = match platform.settings.upload_bytes {
        Some(bytes) => shape.setting("upload", "max_bytes", bytes.to_string()),
        None => shape,
    };
    shape
        .secret("object_storage", "access_key_id_file", "s3-access-key-id")
        .secret("object_storage", "secret_access_key_file", "s3-secret-access-key")
        .finish()
}
