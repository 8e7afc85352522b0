//! The managed S3 store: Versity Gateway over a volume.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Container, Service};

use super::component::Component;
use super::container::{container, env_of_secret, mount, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, Rolling, stateful_set};
use super::{network, security, volume};
use crate::validate::{Platform, Server};

const COMPONENT: Component = Component::ObjectStorage;

/// The port of the S3 protocol.
pub(super) const PORT: i32 = 7070;

/// The address of the managed store.
#[must_use]
pub fn endpoint(platform: &Platform) -> String {
    format!("http://{}:{PORT}", platform.names.service(COMPONENT.name()))
}

/// The objects of the S3 store.
#[must_use]
pub fn build(platform: &Platform, server: &Server) -> (Service, StatefulSet) {
    let secret = platform.names.object(COMPONENT.name());
    let pods = Pods {
        user: security::OURS,
        init_containers: vec![],
        container: probed(
            Container {
                command: Some(words(&["versitygw", "--port", ":7070", "--health", "/health", "posix", "/data"])),
                env: Some(vec![
                    env_of_secret("ROOT_ACCESS_KEY", &secret, "access-key-id"),
                    env_of_secret("ROOT_SECRET_KEY", &secret, "secret-access-key"),
                ]),
                ports: Some(vec![port("s3", PORT)]),
                volume_mounts: Some(vec![mount(volume::DATA, "/data"), mount("tmp", "/tmp")]),
                ..container(platform, COMPONENT, "versitygw", server.resources.clone())
            },
            60,
            Question::Http("s3", "/health"),
            Question::Http("s3", "/health"),
        ),
        sidecars: vec![],
        volumes: vec![volume::scratch("tmp", "64Mi")],
        read_at_start: platform.material.read_at_start(COMPONENT.name()).into_iter().collect(),
        grace_seconds: 30,
        rolling: Rolling::ByItself,
    };
    let service = network::service(platform, COMPONENT, vec![network::port("s3", PORT)]);
    (service, stateful_set(platform, COMPONENT, 1, &server.storage, pods))
}
