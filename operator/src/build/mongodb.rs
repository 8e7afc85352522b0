//! `MongoDB`: a replica set whose members know each other by a key file and speak TLS alone. `provision` initiates it, adds and removes
//! members and makes its users; `roll` restarts them when their pods change.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Service};

use super::component::Component;
use super::container::{container, init_container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, Rolling, stateful_set};
use super::{config, network, security, volume};
use crate::secrets::{MONGODB_TLS, Names};
use crate::validate::{MongoDb, Platform};

const COMPONENT: Component = Component::MongoDb;
/// The port of clients and of members.
pub(super) const PORT: i32 = 27017;
/// How long a member may take until it listens. After a crash it replays its journal and its oplog first, and to end it then would only
/// have it begin again.
const START_SECONDS: i32 = 3600;

/// The objects of `MongoDB`.
#[must_use]
pub fn build(platform: &Platform, server: &MongoDb) -> (ConfigMap, Service, StatefulSet) {
    let configuration = configuration(server.each.memory_mebibytes);
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
                    mount_read_only("tls", "/etc/mongod-tls"),
                    mount(volume::DATA, "/data/db"),
                    mount("tmp", "/tmp"),
                ]),
                ..container(platform, COMPONENT, "mongod", server.each.resources.clone())
            },
            START_SECONDS,
            // A member that synchronises or recovers listens all the same; whether it serves, the set says itself.
            Question::Tcp("mongodb"),
            Question::Tcp("mongodb"),
        ),
        volumes: vec![
            volume::config_map("config", &platform.names.object(COMPONENT.name())),
            volume::secret("secret", &platform.names.object(COMPONENT.name())),
            volume::memory("key"),
            // Not among what is read at start: a renewed certificate is taken without a restart.
            volume::secret("tls", &platform.names.object(MONGODB_TLS)),
            volume::scratch("tmp", "64Mi"),
        ],
        read_at_start: [Some(configuration), platform.material.read_at_start(COMPONENT.name())]
            .into_iter()
            .flatten()
            .collect(),
        grace_seconds: 60,
        sidecars: Vec::new(),
        rolling: Rolling::ByOperator,
    };
    let set = stateful_set(platform, COMPONENT, server.pods, &server.each.storage, pods);
    (files, service, set)
}

fn configuration(memory_mebibytes: u64) -> String {
    format!(
        "systemLog:
  # Probes connect every other second, and each connection would be two lines.
  quiet: true
net:
  port: {PORT}
  bindIpAll: true
  unixDomainSocket:
    enabled: false
  tls:
    mode: requireTLS
    certificateKeyFile: /etc/mongod-tls/tls.pem
    CAFile: /etc/mongod-tls/ca.crt
    # Services show a password, members the key.
    allowConnectionsWithoutCertificates: true
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
  # Time to hand over and to let clients go when told to stop; 15 s by default, all of which a member waits at every restart.
  shutdownTimeoutMillisForSignaledShutdown: 5000
  # What a pod that was killed had begun keeps others from the same documents for so long, and half as long again until it is looked at; 60 s
  # by default. Services try again for 20 s, and what they begin takes milliseconds.
  transactionLifetimeLimitSeconds: 10
",
        set = Names::REPLICA_SET,
        cache = cache_gibibytes(memory_mebibytes),
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
