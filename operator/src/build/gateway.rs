//! The gateway service.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::component::Component;
use super::service::{PORT, Shape};
use crate::validate::Platform;

const UPSTREAMS: [Component; 4] = [Component::Auth, Component::Chat, Component::Media, Component::Notification];

/// The objects of the gateway.
#[must_use]
pub fn build(platform: &Platform) -> (Service, Deployment) {
    let shape = Shape::new(platform, Component::Gateway, &platform.gateway).redis();
    UPSTREAMS
        .into_iter()
        .fold(shape, |shape, upstream| {
            let url = format!("http://{}:{PORT}", platform.names.object(upstream.name()));
            shape.setting("upstreams", upstream.name(), url)
        })
        .finish()
}
