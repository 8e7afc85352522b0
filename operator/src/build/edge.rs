//! The edge: Nginx, which terminates TLS, upgrades `WebSockets` and starts traces.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};

use super::component::Component;
use super::container::{container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, Rolling, deployment, leave_first};
use super::{config, network, nginx, security, service, volume, web};
use crate::api::ExposureType;
use crate::validate::{Platform, TlsSource, Upstreams};

const COMPONENT: Component = Component::Edge;
/// The port of people.
pub(super) const HTTPS: i32 = 8443;
/// The port of people who have yet to be sent to the other one.
pub(super) const HTTP: i32 = 8080;
const PROBE: i32 = 8081;

/// Annotation of the edge's `ConfigMap`: the addresses in it, so that they are still known while a Service is missing.
pub const UPSTREAMS: &str = "chatplatform.dev/upstreams";

/// The Service of the edge.
#[must_use]
pub fn service(platform: &Platform) -> Service {
    let mut https = network::port("https", 443);
    https.node_port = platform.exposure.node_port;
    let mut service = network::service(platform, COMPONENT, vec![https, network::port("http", 80)]);
    if !platform.exposure.annotations.is_empty() {
        service.metadata.annotations = Some(platform.exposure.annotations.clone());
    }
    if let Some(spec) = &mut service.spec {
        spec.type_ = Some(
            match platform.exposure.type_ {
                ExposureType::ClusterIP => "ClusterIP",
                ExposureType::NodePort => "NodePort",
                ExposureType::LoadBalancer => "LoadBalancer",
            }
            .into(),
        );
    }
    service
}

/// The pods of the edge and their configuration, once the addresses of what stands behind are known.
///
/// Nginx resolves a name once, at its start. With addresses in the configuration, a Service that was deleted and made anew, with
/// another address, is a change of the configuration and so reaches the edge.
#[must_use]
pub fn server(platform: &Platform, upstreams: &Upstreams) -> (ConfigMap, Deployment) {
    let configuration = configuration(upstreams);
    let mut files = config::config_map(platform, COMPONENT, COMPONENT.name(), [("nginx.conf", configuration.clone())]);
    files.metadata.annotations = Some(BTreeMap::from([(UPSTREAMS.to_owned(), upstreams.to_string())]));
    let (secret, certificate) = match &platform.tls {
        TlsSource::Own => (platform.names.object("edge-tls"), platform.material.edge.pem()),
        TlsSource::Secret { name, certificate } => (name.clone(), certificate.as_str()),
    };
    let pods = Pods {
        user: security::NGINX,
        init_containers: vec![],
        container: leave_first(probed(
            Container {
                command: Some(words(&nginx::COMMAND)),
                ports: Some(vec![port("https", HTTPS), port("http", HTTP), port("probe", PROBE)]),
                volume_mounts: Some(vec![
                    mount_read_only("config", nginx::CONFIG),
                    mount_read_only("tls", "/etc/nginx-tls"),
                    mount("tmp", "/tmp"),
                ]),
                ..container(platform, COMPONENT, "nginx", platform.edge.resources.clone())
            },
            30,
            Question::Http("probe", "/healthz"),
            Question::Http("probe", "/healthz"),
        )),
        sidecars: vec![],
        volumes: vec![
            volume::config_map("config", &platform.names.object(COMPONENT.name())),
            volume::secret("tls", &secret),
            volume::scratch("tmp", "256Mi"),
        ],
        read_at_start: vec![configuration, certificate.to_owned()],
        grace_seconds: 30,
        rolling: Rolling::ByItself,
    };
    (files, deployment(platform, COMPONENT, &platform.edge, pods))
}

fn authority(address: IpAddr, port: i32) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

fn configuration(upstreams: &Upstreams) -> String {
    nginx::render(
        nginx::EDGE,
        [
            ("GATEWAY", authority(upstreams.gateway, service::PORT)),
            ("WEB", authority(upstreams.web, web::PORT)),
            ("HTTPS_PORT", HTTPS.to_string()),
            ("HTTP_PORT", HTTP.to_string()),
            ("PROBE_PORT", PROBE.to_string()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_configuration_is_filled_in() {
        let configuration = configuration(&Upstreams {
            gateway: IpAddr::from([10, 0, 0, 1]),
            web: "fd00::2".parse().unwrap_or(IpAddr::from([0; 4])),
        });
        assert!(configuration.contains("server 10.0.0.1:8080 "), "{configuration}");
        assert!(configuration.contains("server [fd00::2]:8080 "), "{configuration}");
        let left = configuration.split('@').skip(1).find(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
        assert_eq!(left, None);
    }
}
