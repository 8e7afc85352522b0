//! `RabbitMQ`: one broker of 1, 3 or 5 nodes. Each imports the operator's own user at its start; `provision` makes the rest.
//!
//! Nothing in the pods depends on how many nodes there are, so that a broker grows without a restart of those it has: their names are
//! a file, which only a node without data reads. What happens before a node starts, after it has, and before it stops is in the scripts.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVar, ExecAction, Lifecycle, LifecycleHandler, Probe, Service,
};

use super::component::Component;
use super::container::{container, env, env_of_pod, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, Rolling, stateful_set};
use super::{config, network, security, volume};
use crate::validate::{Platform, Servers};

const COMPONENT: Component = Component::RabbitMq;
/// The port of clients.
pub(super) const AMQP: i32 = 5672;
/// The port of the management API.
pub(super) const MANAGEMENT: i32 = 15672;
/// The port of metrics.
pub(super) const PROMETHEUS: i32 = 15692;
/// Erlang's port mapper, by which nodes find each other.
pub(super) const MAPPER: i32 = 4369;
/// Where nodes talk to each other.
pub(super) const DISTRIBUTION: i32 = 25672;
const PLUGINS: &str = "[rabbitmq_management,rabbitmq_prometheus].\n";

/// What runs in a node's container, by the name of its file.
pub const SCRIPTS: [(&str, &str); 4] = [
    ("start.sh", include_str!("rabbitmq/start.sh")),
    ("join.escript", include_str!("rabbitmq/join.escript")),
    ("grow.escript", include_str!("rabbitmq/grow.escript")),
    ("leave.escript", include_str!("rabbitmq/leave.escript")),
];

/// Configuration that has no place but `advanced.config`: a queue that is declared gets a member on every node, where the server's own
/// default is 3.
pub const ADVANCED: &str = "[{rabbit, [{quorum_cluster_size, 5}]}].\n";

/// Configuration of what nodes do together.
pub const TOGETHER: &str = "# Whom to join is in a file that start.sh writes. Who is told to join somebody never begins alone.
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.discovery_retry_limit = 1000000
# The smaller part of a divided cluster stops, so that nobody is told that it took what the larger part never sees.
cluster_partition_handling = pause_minority
# A node waits a day for those that stopped after it: they have what it does not. To give up is to be restarted, and to wait anew.
mnesia_table_loading_retry_timeout = 30000
mnesia_table_loading_retry_limit = 2880
queue_leader_locator = balanced
";

// Where the official image has rabbitmq-server, then where Debian has it: its wrapper in /usr/sbin insists on a user of its own.
const PATH: &str = "/opt/rabbitmq/sbin:/opt/erlang/bin:/opt/openssl/bin:/usr/lib/rabbitmq/bin:\
    /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// What a hook says goes nowhere; what the container's first process says is in its log.
const LEAVE: &str = "exec escript /etc/rabbitmq/leave.escript >/proc/1/fd/1 2>&1";

// Above what leave.escript takes at most, with half a minute for the server's own end.
const GRACE_SECONDS: i64 = 150;

/// The objects of `RabbitMQ`.
#[must_use]
pub fn build(platform: &Platform, servers: &Servers) -> (ConfigMap, Service, StatefulSet) {
    let object = platform.names.object(COMPONENT.name());
    let configuration = configuration(platform, servers.each.memory_mebibytes);
    let [start, join, grow, leave] = SCRIPTS.map(|(file, text)| (file, text.to_owned()));
    let files = config::config_map(
        platform,
        COMPONENT,
        COMPONENT.name(),
        [
            ("rabbitmq.conf", configuration.clone()),
            ("advanced.config", ADVANCED.to_owned()),
            ("enabled_plugins", PLUGINS.to_owned()),
            ("nodes", platform.names.rabbitmq_nodes().into_iter().map(|node| node + "\n").collect()),
            start,
            join,
            grow,
            leave,
        ],
    );
    let pods = Pods {
        user: security::SERVER,
        init_containers: vec![],
        container: patient(probed(
            Container {
                command: Some(words(&["sh", "/etc/rabbitmq/start.sh"])),
                env: Some(environment(platform)),
                lifecycle: Some(before_stop(LEAVE)),
                ports: Some(vec![
                    port("amqp", AMQP),
                    port("management", MANAGEMENT),
                    port("prometheus", PROMETHEUS),
                    port("epmd", MAPPER),
                    port("distribution", DISTRIBUTION),
                ]),
                volume_mounts: Some(vec![
                    mount_read_only("config", "/etc/rabbitmq"),
                    mount_read_only("secret", "/secret"),
                    mount("home", "/run/rabbitmq"),
                    mount(volume::DATA, "/data"),
                    mount("tmp", "/tmp"),
                ]),
                ..container(platform, COMPONENT, "rabbitmq", servers.each.resources.clone())
            },
            300,
            // A node that waits for the others, or is paused because it sees too few of them, is alive: it listens to them and to nobody
            // else. This port is open from the moment it looks for them, and it takes clients when it is one of them.
            Question::Tcp("distribution"),
            Question::Tcp("amqp"),
        )),
        sidecars: vec![],
        volumes: vec![
            volume::config_map_and_secret("config", &object, &object),
            volume::secret("secret", &object),
            volume::memory("home"),
            volume::scratch("tmp", "64Mi"),
        ],
        read_at_start: [
            Some(configuration),
            Some(ADVANCED.to_owned()),
            Some(PLUGINS.to_owned()),
            platform.material.read_at_start(COMPONENT.name()),
        ]
        .into_iter()
        .flatten()
        .collect(),
        grace_seconds: GRACE_SECONDS,
        rolling: Rolling::ByItself,
    };
    let ports = vec![network::port("amqp", AMQP), network::port("management", MANAGEMENT)];
    let service = network::headless(platform, COMPONENT, ports);
    (files, service, stateful_set(platform, COMPONENT, servers.replicas, &servers.each.storage, pods))
}

/// A node whose Erlang machine has ended takes its container with it. Who hears nothing but silence hears a machine that is short of CPU:
/// between looking for the others and starting, nobody listens.
fn patient(container: Container) -> Container {
    let liveness_probe = container.liveness_probe.map(|probe| Probe { failure_threshold: Some(12), ..probe });
    Container { liveness_probe, ..container }
}

fn before_stop(script: &str) -> Lifecycle {
    let command = words(&["sh", "-c", script]);
    let handler = LifecycleHandler { exec: Some(ExecAction { command: Some(command) }), ..LifecycleHandler::default() };
    Lifecycle { pre_stop: Some(handler), ..Lifecycle::default() }
}

fn environment(platform: &Platform) -> Vec<EnvVar> {
    let domain = platform.names.service(COMPONENT.name());
    vec![
        env("PATH", PATH),
        env("HOME", "/run/rabbitmq"),
        env_of_pod("POD_NAME", "metadata.name"),
        // Data belong to a node by its name, so the name is one that a cluster of several nodes can keep.
        env("RABBITMQ_USE_LONGNAME", "true"),
        env("RABBITMQ_NODENAME", format!("rabbit@$(POD_NAME).{domain}")),
        env("RABBITMQ_DIST_PORT", DISTRIBUTION.to_string()),
        env("ERLANG_COOKIE_FILE", "/secret/erlang-cookie"),
        env("RABBITMQ_MNESIA_BASE", "/data"),
        env("RABBITMQ_CONFIG_FILE", "/etc/rabbitmq/rabbitmq"),
        env("RABBITMQ_ADVANCED_CONFIG_FILE", "/etc/rabbitmq/advanced.config"),
        env("RABBITMQ_CONFIG_FILES", "/run/rabbitmq/conf.d"),
        env("RABBITMQ_ENABLED_PLUGINS_FILE", "/etc/rabbitmq/enabled_plugins"),
        env("RABBITMQ_LOG_BASE", "/tmp"),
        // One scheduler that sleeps when it has nothing to do: by default Erlang starts one for each core of the node and spins.
        env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"),
        // A dump of the memory of a node that crashed helps nobody here, and would not fit.
        env("ERL_CRASH_DUMP_SECONDS", "0"),
    ]
}

fn configuration(platform: &Platform, memory_mebibytes: u64) -> String {
    let name = &platform.names.platform;
    // Publishers are paused above this; the rest is for the runtime.
    let memory = memory_mebibytes * 6 / 10;
    // What quorum queues have not written into their own files yet is in this log and in memory as well: by default 512 MiB.
    let log = (memory_mebibytes << 20) / 8;
    format!(
        "listeners.tcp.default = {AMQP}
management.tcp.port = {MANAGEMENT}
management_agent.disable_metrics_collector = true
prometheus.tcp.port = {PROMETHEUS}
load_definitions = /etc/rabbitmq/definitions.json
log.console = true
log.console.level = info
log.file = false
vm_memory_high_watermark.absolute = {memory}MiB
disk_free_limit.absolute = 64MB
raft.wal_max_size_bytes = {log}
cluster_name = {name}
{TOGETHER}"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::properties::platform;
    use super::*;
    use serde_json::json;

    fn of(replicas: i32) -> (ConfigMap, StatefulSet) {
        let platform = platform("acme", &json!({"host": "chat.acme.example", "rabbitmq": {"replicas": replicas}}));
        let (files, _, set) = build(&platform, platform.rabbitmq.managed().unwrap());
        (files, set)
    }

    #[test]
    fn a_broker_grows_without_a_change_of_the_pods_it_has() {
        let ((one, of_one), (three, of_three)) = (of(1), of(3));
        let template = |set: &StatefulSet| {
            let mut template = json!(set)["spec"]["template"].clone();
            // Two platforms have two cookies.
            template["metadata"]["annotations"] = json!(null);
            template
        };
        assert_eq!(template(&of_one), template(&of_three));
        let file = |files: &ConfigMap, name: &str| files.data.clone().unwrap()[name].clone();
        for name in ["rabbitmq.conf", "advanced.config", "enabled_plugins", "start.sh"] {
            assert_eq!(file(&one, name), file(&three, name));
        }
        assert_eq!(file(&one, "nodes"), "rabbit@acme-rabbitmq-0.acme-rabbitmq.team.svc\n");
        assert_eq!(file(&three, "nodes").lines().count(), 3);
        assert_eq!(of_three.spec.unwrap().replicas, Some(3));
    }

    #[test]
    fn the_scripts_end_before_the_pods_grace_does() {
        let seconds = |name: &str| {
            let line = SCRIPTS[3].1.lines().find(|line| line.starts_with(&format!("-define({name}, "))).unwrap();
            line.trim_end_matches(").").rsplit(' ').next().unwrap().parse::<i64>().unwrap()
        };
        assert!(seconds("WAIT_SECONDS") + seconds("DRAIN") / 1000 + 30 <= GRACE_SECONDS);
    }
}
