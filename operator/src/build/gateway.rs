//! The gateway service.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::component::Component;
use super::service::{PORT, Shape};
use super::{labels, network};
use crate::validate::{Platform, Settings};

/// What an upload may have around its file.
const FRAMING_BYTES: u64 = 5 << 20;
const UPSTREAMS: [Component; 4] = [Component::Auth, Component::Chat, Component::Media, Component::Notification];

/// The objects of the gateway.
#[must_use]
pub fn build(platform: &Platform) -> (Service, Deployment) {
    let shape = Shape::new(platform, Component::Gateway, &platform.gateway).redis();
    let shape = UPSTREAMS.into_iter().fold(shape, |shape, upstream| {
        let url = |name: &str| format!("http://{}:{PORT}", platform.names.object(name));
        let (named, pods) = (url(upstream.name()), url(&pods(upstream)));
        shape.setting("upstreams", upstream.name(), named).setting("endpoints", upstream.name(), pods)
    });
    settings(shape, &platform.settings).finish()
}

/// What the document says; the service has defaults of its own.
fn settings<'a>(mut shape: Shape<'a>, settings: &Settings) -> Shape<'a> {
    if !settings.allowed_origins.is_empty() {
        shape = shape.setting("cors", "allowed_origins", settings.allowed_origins.join(","));
    }
    for (class, (per_minute, burst)) in &settings.rates {
        shape = shape.setting("rate_limits", &format!("{class}__per_minute"), per_minute.to_string()).setting(
            "rate_limits",
            &format!("{class}__burst"),
            burst.to_string(),
        );
    }
    match settings.upload_bytes {
        Some(bytes) => shape.setting("limits", "upload_bytes", (bytes + FRAMING_BYTES).to_string()),
        None => shape,
    }
}

/// The Services whose names lead to each pod that is ready, of every service behind the gateway, which spreads requests itself.
/// Those with an address of their own are there besides: what they lead to is news at once, while names may be remembered on
/// the way for half a minute.
#[must_use]
pub fn endpoints(platform: &Platform) -> Vec<Service> {
    let service = |upstream: Component| {
        let mut service = network::service(platform, upstream, vec![network::port("http", PORT)]);
        service.metadata = labels::metadata_named(platform, upstream, &pods(upstream));
        if let Some(spec) = &mut service.spec {
            spec.cluster_ip = Some("None".into());
        }
        service
    };
    UPSTREAMS.into_iter().map(service).collect()
}

/// What follows the platform's name in the name of that Service, short enough for the longest of platforms.
fn pods(upstream: Component) -> String {
    format!("{}-pods", upstream.name())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::build::properties::platform;

    fn variables(gateway: &Value, media: &Value) -> BTreeMap<String, String> {
        let platform = platform("acme", &json!({"host": "a.example", "gateway": gateway, "media": media}));
        let pods = build(&platform).1.spec.unwrap().template.spec.unwrap();
        let variables = pods.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        variables.filter_map(|variable| Some((variable.name, variable.value?))).collect()
    }

    #[test]
    fn what_the_document_says_reaches_the_service() {
        let limits = json!({"read": {"perMinute": 60, "burst": 5}, "write": {"perMinute": 30}});
        let origins = ["https://app.example.com", "http://localhost:5173"];
        let variables = variables(
            &json!({"allowedOrigins": origins, "rateLimits": limits, "replicas": 2}),
            &json!({"maxUploadSize": "250Mi"}),
        );
        for (name, value) in [
            ("CORS__ALLOWED_ORIGINS", "https://app.example.com,http://localhost:5173"),
            ("RATE_LIMITS__READ__PER_MINUTE", "60"),
            ("RATE_LIMITS__READ__BURST", "5"),
            ("RATE_LIMITS__WRITE__BURST", "30"),
            ("LIMITS__UPLOAD_BYTES", "267386880"),
        ] {
            assert_eq!(variables[&format!("CHATPLATFORM_{name}")], value);
        }
        assert!(!variables.contains_key("CHATPLATFORM_RATE_LIMITS__AUTH__BURST"));
    }

    #[test]
    fn what_the_document_leaves_out_is_the_services_own() {
        let variables = variables(&json!({}), &json!({}));
        assert!(
            variables
                .keys()
                .all(|name| !name.contains("RATE_LIMITS") && !name.contains("CORS") && !name.contains("LIMITS"))
        );
    }
}
