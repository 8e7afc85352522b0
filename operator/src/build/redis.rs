//! Redis: one server with an append-only file and a user per service.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};

use super::component::Component;
use super::container::{container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, stateful_set};
use super::{config, network, security, volume};
use crate::validate::Platform;

const COMPONENT: Component = Component::Redis;
const PORT: i32 = 6379;

/// The objects of Redis.
#[must_use]
pub fn build(platform: &Platform) -> (ConfigMap, Service, StatefulSet) {
    let object = platform.names.object(COMPONENT.name());
    let configuration = configuration(platform);
    let files = config::config_map(platform, COMPONENT, COMPONENT.name(), [("redis.conf", configuration.clone())]);
    let service = network::headless(platform, COMPONENT, vec![network::port("redis", PORT)]);
    let pods = Pods {
        user: security::SERVER,
        init_containers: vec![],
        container: probed(
            Container {
                command: Some(words(&["redis-server", "/etc/redis/redis.conf"])),
                ports: Some(vec![port("redis", PORT)]),
                volume_mounts: Some(vec![mount_read_only("config", "/etc/redis"), mount(volume::DATA, "/data")]),
                ..container(platform, COMPONENT, "redis", platform.redis.resources.clone())
            },
            // The append-only file is read first.
            120,
            Question::Tcp("redis"),
            Question::Tcp("redis"),
        ),
        volumes: vec![volume::config_map_and_secret("config", &object, &object)],
        read_at_start: [Some(configuration), platform.material.read_at_start(COMPONENT.name())]
            .into_iter()
            .flatten()
            .collect(),
        grace_seconds: 30,
    };
    (files, service, stateful_set(platform, COMPONENT, 1, &platform.redis.storage, pods))
}

fn configuration(platform: &Platform) -> String {
    // The rest is for copy-on-write while the append-only file is rewritten, and for buffers of clients.
    let memory = platform.redis.memory_mebibytes * 6 / 10;
    format!(
        "bind * -::*
port {PORT}
protected-mode yes
aclfile /etc/redis/users.acl
dir /data
appendonly yes
appendfsync everysec
save \"\"
maxmemory {memory}mb
maxmemory-policy noeviction
tcp-keepalive 60
"
    )
}
