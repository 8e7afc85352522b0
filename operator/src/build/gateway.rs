//! The gateway service.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::component::Component;
use super::service::{PORT, Shape};
use super::{labels, network};
use crate::validate::Platform;

const UPSTREAMS: [Component; 4] = [Component::Auth, Component::Chat, Component::Media, Component::Notification];

/// The objects of the gateway.
#[must_use]
pub fn build(platform: &Platform) -> (Service, Deployment) {
    let shape = Shape::new(platform, Component::Gateway, &platform.gateway).redis();
    UPSTREAMS
        .into_iter()
        .fold(shape, |shape, upstream| {
            let url = |name: &str| format!("http://{}:{PORT}", platform.names.object(name));
            shape.setting("upstreams", upstream.name(), url(upstream.name())).setting(
                "endpoints",
                upstream.name(),
                url(&headless(upstream)),
            )
        })
        .finish()
}

/// The Services whose names lead to each pod that is ready, of every service behind the gateway, which spreads requests itself.
/// Those with an address of their own are there besides: what they lead to is news at once, while names may be remembered on
/// the way for half a minute.
#[must_use]
pub fn endpoints(platform: &Platform) -> Vec<Service> {
    let service = |upstream: Component| {
        let mut service = network::service(platform, upstream, vec![network::port("http", PORT)]);
        service.metadata = labels::metadata_named(platform, upstream, &headless(upstream));
        if let Some(spec) = &mut service.spec {
            spec.cluster_ip = Some("None".into());
        }
        service
    };
    UPSTREAMS.into_iter().map(service).collect()
}

fn headless(upstream: Component) -> String {
    format!("{}-headless", upstream.name())
}
