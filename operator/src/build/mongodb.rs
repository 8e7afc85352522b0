//! `MongoDB`: a replica set whose members know each other by a key file. `provision` initiates it and makes its users.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};

use super::component::Component;
use super::container::{container, init_container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, stateful_set};
use super::{config, network, security, volume};
use crate::secrets::Names;
use crate::validate::Platform;

const COMPONENT: Component = Component::MongoDb;
const PORT: i32 = 27017;

/// The objects of `MongoDB`.
#[must_use]
pub fn build(platform: &Platform) -> (ConfigMap, Service, StatefulSet) {
    let configuration = configuration(platform);
    let files = config::config_map(platform, COMPONENT, COMPONENT.name(), [("mongod.conf", configuration.clone())]);
    let service = network::headless(platform, COMPONENT, vec![network::port("mongodb", PORT)]);
    let pods = Pods {
        user: security::SERVER,
        // mongod refuses a key file that a group may read, and a mounted Secret belongs to root.
        init_containers: vec![Container {
            volume_mounts: Some(vec![mount_read_only("secret", "/secret"), mount("key", "/run/mongod")]),
            ..init_container(
                platform,
                COMPONENT,
                "key-file",
                &["install", "-m", "0400", "/secret/keyfile", "/run/mongod/keyfile"],
            )
        }],
        container: probed(
            Container {
                command: Some(words(&["mongod", "--config", "/etc/mongod/mongod.conf"])),
                ports: Some(vec![port("mongodb", PORT)]),
                volume_mounts: Some(vec![
                    mount_read_only("config", "/etc/mongod"),
                    mount_read_only("key", "/run/mongod"),
                    mount(volume::DATA, "/data/db"),
                    mount("tmp", "/tmp"),
                ]),
                ..container(platform, COMPONENT, "mongod", platform.mongodb.resources.clone())
            },
            // Recovery from a crash replays the journal first.
            300,
            Question::Tcp("mongodb"),
            Question::Tcp("mongodb"),
        ),
        volumes: vec![
            volume::config_map("config", &platform.names.object(COMPONENT.name())),
            volume::secret("secret", &platform.names.object(COMPONENT.name())),
            volume::memory("key"),
            volume::scratch("tmp", "64Mi"),
        ],
        read_at_start: [Some(configuration), platform.material.read_at_start(COMPONENT.name())]
            .into_iter()
            .flatten()
            .collect(),
        grace_seconds: 60,
    };
    let set = stateful_set(platform, COMPONENT, platform.mongodb.members.get(), &platform.mongodb.storage, pods);
    (files, service, set)
}

fn configuration(platform: &Platform) -> String {
    format!(
        "systemLog:
  # Probes connect every other second, and each connection would be two lines.
  quiet: true
net:
  port: {PORT}
  bindIpAll: true
  unixDomainSocket:
    enabled: false
replication:
  replSetName: {set}
security:
  authorization: enabled
  keyFile: /run/mongod/keyfile
storage:
  dbPath: /data/db
  wiredTiger:
    engineConfig:
      cacheSizeGB: {cache}
setParameter:
  diagnosticDataCollectionEnabled: false
",
        set = Names::REPLICA_SET,
        cache = cache_gibibytes(platform.mongodb.memory_mebibytes),
    )
}

/// Half of the memory beyond the first gibibyte, and a quarter of a gibibyte at least: what mongod would take by itself if it knew
/// the container's limit (manual, "storage.wiredTiger.engineConfig.cacheSizeGB").
fn cache_gibibytes(memory_mebibytes: u64) -> String {
    let cache = memory_mebibytes.saturating_sub(1024).div_euclid(2).max(256);
    format!("{}.{:02}", cache / 1024, cache % 1024 * 100 / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_leaves_room_for_connections_and_sorts() {
        assert_eq!(cache_gibibytes(512), "0.25");
        assert_eq!(cache_gibibytes(4096), "1.50");
    }
}
