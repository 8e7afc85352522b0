//! The media service.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::component::Component;
use super::object_storage;
use super::service::Shape;
use crate::provision::object_storage::{BUCKET, REGION};
use crate::validate::Platform;

/// The address of the managed S3 store.
#[must_use]
pub fn endpoint(platform: &Platform) -> String {
    format!("http://{}:{}", platform.names.service(Component::ObjectStorage.name()), object_storage::PORT)
}

/// The objects of the media service.
#[must_use]
pub fn build(platform: &Platform) -> (Service, Deployment) {
    Shape::new(platform, Component::Media, &platform.media)
        .mongodb()
        .setting("object_storage", "endpoint", endpoint(platform))
        .setting("object_storage", "region", REGION)
        .setting("object_storage", "bucket", BUCKET)
        .setting("object_storage", "path_style", "true")
        .secret("object_storage", "access_key_id_file", "s3-access-key-id")
        .secret("object_storage", "secret_access_key_file", "s3-secret-access-key")
        .finish()
}
