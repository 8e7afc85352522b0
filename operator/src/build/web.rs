//! The web client: static files.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};

use super::component::Component;
use super::container::{container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::stop::{Work, leave_first};
use super::workload::{Pods, Rolling, deployment};
use super::{config, network, nginx, security, volume};
use crate::validate::Platform;

const COMPONENT: Component = Component::Web;
const WORK: Work = Work::Requests;

/// The port of requests.
pub const PORT: i32 = 8080;

/// The objects of the web client.
#[must_use]
pub fn build(platform: &Platform) -> (ConfigMap, Service, Deployment) {
    let configuration = configuration();
    let files = [(nginx::SETTINGS, configuration.clone()), (nginx::SERVE, nginx::serve())];
    let files = config::config_map(platform, COMPONENT, COMPONENT.name(), files);
    let service = network::service(platform, COMPONENT, vec![network::port("http", PORT)]);
    let pods = Pods {
        user: security::NGINX,
        init_containers: vec![],
        container: leave_first(probed(
            Container {
                command: Some(words(&nginx::COMMAND)),
                ports: Some(vec![port("http", PORT)]),
                volume_mounts: Some(vec![mount_read_only("config", nginx::CONFIG), mount("tmp", "/tmp")]),
                ..container(platform, COMPONENT, "nginx", platform.web.resources.clone())
            },
            30,
            Question::Http("http", "/healthz"),
            Question::Http("http", "/readyz"),
        )),
        sidecars: vec![],
        volumes: vec![
            volume::config_map("config", &platform.names.object(COMPONENT.name())),
            volume::scratch("tmp", "64Mi"),
        ],
        read_at_start: vec![configuration, nginx::serve()],
        grace_seconds: WORK.grace_seconds(),
        rolling: Rolling::ByItself,
    };
    (files, service, deployment(platform, COMPONENT, &platform.web, pods))
}

fn configuration() -> String {
    nginx::render(nginx::WEB, WORK, [("PORT", PORT.to_string())])
}
