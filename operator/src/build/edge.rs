//! The edge: Nginx, which terminates TLS, upgrades `WebSockets` and starts traces.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};

use super::component::Component;
use super::container::{container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::stop::{Work, leave_first};
use super::workload::{Pods, Rolling, deployment};
use super::{config, exposure, network, nginx, security, service, volume, web};
use crate::api::ExposureType;
use crate::secrets::EDGE_TLS;
use crate::validate::{Platform, Upstreams};

const COMPONENT: Component = Component::Edge;
const WORK: Work = Work::Transfers;
/// The port of people.
pub(super) const HTTPS: i32 = 8443;
/// The port of people who have yet to be sent to the other one, or of the controller that took their requests by https.
pub(super) const HTTP: i32 = 8080;
const PROBE: i32 = 8081;
/// What the edge lets through beyond the largest file: more than the gateway, so that the answer is the gateway's.
const FRAMING_MEBIBYTES: u64 = 10;
/// How long a new pod serves before an old one goes: a load balancer that leads to pods by itself has to take it in first.
const MIN_READY_SECONDS: i32 = 5;

/// Annotation of the edge's `ConfigMap`: the addresses in it, so that they are still known while a Service is missing.
pub const UPSTREAMS: &str = "chatplatform.dev/upstreams";

/// The Service of the edge.
#[must_use]
pub fn service(platform: &Platform) -> Service {
    let mut https = network::port("https", 443);
    https.node_port = platform.exposure.node_port;
    let (name, number) = plain(platform);
    let mut http = network::port(name, number);
    if platform.exposure.type_ == ExposureType::Gateway {
        // HTTP that may become a WebSocket (GEP-1911 of the Gateway API, KEP-3726).
        http.app_protocol = Some("kubernetes.io/ws".into());
    }
    let mut service = network::service(platform, COMPONENT, vec![https, http]);
    if !platform.exposure.type_.is_behind_proxy() && !platform.exposure.annotations.is_empty() {
        service.metadata.annotations = Some(platform.exposure.annotations.clone());
    }
    if let Some(spec) = &mut service.spec {
        spec.type_ = Some(
            match platform.exposure.type_ {
                ExposureType::ClusterIP | ExposureType::Ingress | ExposureType::Gateway => "ClusterIP",
                ExposureType::NodePort => "NodePort",
                ExposureType::LoadBalancer => "LoadBalancer",
            }
            .into(),
        );
    }
    service
}

/// Name and number of the Service's port of plain http, and name of the pods'. Pods of before a change between people and a controller do the
/// opposite of what is wanted of that port, so they do not have the one of the other name, and no request gets there by it.
fn plain(platform: &Platform) -> (&'static str, i32) {
    if platform.exposure.type_.is_behind_proxy() { ("controller", exposure::PORT) } else { ("http", 80) }
}

/// The pods of the edge and their configuration, once the addresses of what stands behind are known.
///
/// Nginx resolves a name once, at its start. With addresses in the configuration, a Service that was deleted and made anew, with
/// another address, is a change of the configuration and so reaches the edge.
#[must_use]
pub fn server(platform: &Platform, upstreams: &Upstreams) -> (ConfigMap, Deployment) {
    let configuration = configuration(upstreams, platform.exposure.type_.is_behind_proxy(), platform.settings.upload());
    let files = [(nginx::SETTINGS, configuration.clone()), (nginx::SERVE, nginx::serve())];
    let mut files = config::config_map(platform, COMPONENT, COMPONENT.name(), files);
    files.metadata.annotations = Some(BTreeMap::from([(UPSTREAMS.to_owned(), upstreams.to_string())]));
    let pods = Pods {
        user: security::NGINX,
        init_containers: vec![],
        container: leave_first(probed(
            Container {
                command: Some(words(&nginx::COMMAND)),
                ports: Some(vec![port("https", HTTPS), port(plain(platform).0, HTTP), port("probe", PROBE)]),
                volume_mounts: Some(vec![
                    mount_read_only("config", nginx::CONFIG),
                    mount_read_only("tls", "/etc/nginx-tls"),
                    mount("tmp", "/tmp"),
                ]),
                ..container(platform, COMPONENT, "nginx", platform.edge.resources.clone())
            },
            30,
            Question::Http("probe", "/healthz"),
            Question::Http("probe", "/readyz"),
        )),
        sidecars: vec![],
        volumes: vec![
            volume::config_map("config", &platform.names.object(COMPONENT.name())),
            volume::secret("tls", &platform.names.object(EDGE_TLS)),
            volume::scratch("tmp", "256Mi"),
        ],
        // The certificate is read at each handshake.
        read_at_start: vec![configuration, nginx::serve()],
        grace_seconds: WORK.grace_seconds(),
        rolling: Rolling::ByItself,
    };
    let mut deployment = deployment(platform, COMPONENT, &platform.edge, pods);
    if let Some(spec) = &mut deployment.spec {
        spec.min_ready_seconds = Some(MIN_READY_SECONDS);
    }
    (files, deployment)
}

fn authority(address: IpAddr, port: i32) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

fn configuration(upstreams: &Upstreams, is_behind_proxy: bool, upload_bytes: u64) -> String {
    let (direct, behind_proxy) = if is_behind_proxy { ("", nginx::BEHIND_PROXY) } else { (nginx::DIRECT, "") };
    nginx::render(
        nginx::EDGE,
        WORK,
        [
            // These first: they have values of their own.
            ("DIRECT", direct.to_owned()),
            ("BEHIND_PROXY", behind_proxy.to_owned()),
            ("GATEWAY", authority(upstreams.gateway, service::PORT)),
            ("WEB", authority(upstreams.web, web::PORT)),
            ("BODY_LIMIT", format!("{}m", upload_bytes.div_ceil(1 << 20) + FRAMING_MEBIBYTES)),
            ("HTTPS_PORT", HTTPS.to_string()),
            ("HTTP_PORT", HTTP.to_string()),
            ("PROBE_PORT", PROBE.to_string()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [String; 2] {
        let upstreams =
            Upstreams { gateway: IpAddr::from([10, 0, 0, 1]), web: "fd00::2".parse().unwrap_or(IpAddr::from([0; 4])) };
        [false, true].map(|is_behind_proxy| configuration(&upstreams, is_behind_proxy, 300 << 20))
    }

    #[test]
    fn every_value_of_the_configuration_is_filled_in() {
        for configuration in both() {
            assert!(configuration.contains("server 10.0.0.1:8080 "), "{configuration}");
            assert!(configuration.contains("server [fd00::2]:8080 "), "{configuration}");
            let left = configuration.split('@').skip(1).find(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
            assert_eq!(left, None);
            assert_eq!(configuration.matches("client_max_body_size 310m;").count(), 1);
            assert_eq!(configuration.matches("listen 8080;").count(), 1);
            assert_eq!(configuration.matches("listen 8443 ssl").count(), 1);
        }
    }

    #[test]
    fn what_a_client_says_of_its_address_counts_only_behind_a_proxy() {
        let [direct, behind_proxy] = both();
        assert!(!direct.contains("real_ip") && behind_proxy.contains("real_ip_header X-Forwarded-For;"));
        assert!(!direct.contains("$http_x_forwarded_proto"));
    }

    #[test]
    fn the_certificate_is_named_by_a_variable_and_so_read_at_each_handshake() {
        for configuration in both() {
            for directive in ["ssl_certificate ", "ssl_certificate_key "] {
                let value = configuration.split(directive).nth(1).unwrap_or_default();
                assert!(value.starts_with('$'), "{configuration}");
            }
        }
    }
}
