//! Redis: one server with an append-only file, or three with a sentinel each; a user per service.

pub(super) mod trio;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};

use super::component::Component;
use super::container::{container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, Rolling, stateful_set};
use super::{config, network, security, volume};
use crate::validate::{Platform, Servers};

const COMPONENT: Component = Component::Redis;
/// The port of clients and of replicas.
pub(super) const PORT: i32 = 6379;
/// Where settings and secrets are mounted.
const SETTINGS: &str = "/etc/redis";
/// Where the volume is mounted.
const DATA: &str = "/data";

/// The objects of Redis.
#[must_use]
pub fn build(platform: &Platform, servers: &Servers) -> (ConfigMap, Service, StatefulSet) {
    let (files, ports, pods) = if servers.replicas > 1 {
        (
            config::config_map(platform, COMPONENT, COMPONENT.name(), trio::files(settings(servers))),
            vec![network::port("redis", PORT), network::port("sentinel", trio::SENTINEL_PORT)],
            trio::pods(platform, servers, settings(servers)),
        )
    } else {
        let configuration = format!("{}{}", settings(servers), own_settings());
        (
            config::config_map(platform, COMPONENT, COMPONENT.name(), [("redis.conf", configuration.clone())]),
            vec![network::port("redis", PORT)],
            single(platform, servers, configuration),
        )
    };
    let set = stateful_set(platform, COMPONENT, servers.replicas, &servers.each.storage, pods);
    (files, network::headless(platform, COMPONENT, ports), set)
}

/// The pod of the only server.
fn single(platform: &Platform, servers: &Servers, configuration: String) -> Pods {
    let object = platform.names.object(COMPONENT.name());
    Pods {
        user: security::SERVER,
        init_containers: vec![],
        container: probed(
            Container {
                command: Some(words(&["redis-server", "/etc/redis/redis.conf"])),
                ports: Some(vec![port("redis", PORT)]),
                volume_mounts: Some(vec![mount_read_only("config", SETTINGS), mount(volume::DATA, DATA)]),
                ..container(platform, COMPONENT, "redis", servers.each.resources.clone())
            },
            // The append-only file is read first.
            120,
            Question::Tcp("redis"),
            Question::Tcp("redis"),
        ),
        sidecars: vec![],
        volumes: vec![volume::config_map_and_secret("config", &object, &object)],
        read_at_start: read_at_start(platform, [configuration]),
        grace_seconds: 30,
        rolling: Rolling::ByItself,
    }
}

/// Texts of settings, and a digest of what is secret, that servers read at their start alone.
fn read_at_start(platform: &Platform, settings: impl IntoIterator<Item = String>) -> Vec<String> {
    settings.into_iter().chain(platform.material.read_at_start(COMPONENT.name())).collect()
}

/// Settings that every server has.
fn settings(servers: &Servers) -> String {
    // The rest is for copy-on-write while the append-only file is rewritten, and for buffers of clients and replicas.
    let memory = servers.each.memory_mebibytes * 6 / 10;
    format!(
        "bind * -::*
protected-mode no
appendonly yes
appendfsync everysec
save \"\"
maxmemory {memory}mb
maxmemory-policy noeviction
tcp-keepalive 60
"
    )
}

/// What a single server is told besides; one of three is told by the script that starts it.
fn own_settings() -> String {
    format!("port {PORT}\ndir {DATA}\naclfile {SETTINGS}/users.acl\n")
}
