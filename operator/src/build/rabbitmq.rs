//! `RabbitMQ`: a broker that imports the operator's own user at each start; `provision` makes the rest.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Service};

use super::component::Component;
use super::container::{container, env, env_of_pod, init_container, mount, mount_read_only, port, words};
use super::probe::{Question, probed};
use super::workload::{Pods, stateful_set};
use super::{config, network, security, volume};
use crate::validate::Platform;

const COMPONENT: Component = Component::RabbitMq;
const AMQP: i32 = 5672;
const MANAGEMENT: i32 = 15672;
const PROMETHEUS: i32 = 15692;
const PLUGINS: &str = "[rabbitmq_management,rabbitmq_prometheus].\n";

// Erlang will have its cookie readable by its owner alone, and a mounted Secret belongs to root. A node gives up at once if its own
// name does not resolve yet, which it does a moment after the pod has got its address.
const PREPARE: &str = "install -m 0400 /secret/erlang-cookie \"$HOME/.erlang.cookie\" && \
    until getent hosts \"${RABBITMQ_NODENAME#rabbit@}\" >/dev/null; do sleep 0.1; done";

// Where the official image has rabbitmq-server, then where Debian has it: its wrapper in /usr/sbin insists on a user of its own.
const PATH: &str = "/opt/rabbitmq/sbin:/opt/erlang/bin:/opt/openssl/bin:/usr/lib/rabbitmq/bin:\
    /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The objects of `RabbitMQ`.
#[must_use]
pub fn build(platform: &Platform) -> (ConfigMap, Service, StatefulSet) {
    let object = platform.names.object(COMPONENT.name());
    let configuration = configuration(platform);
    let files = config::config_map(
        platform,
        COMPONENT,
        COMPONENT.name(),
        [("rabbitmq.conf", configuration.clone()), ("enabled_plugins", PLUGINS.to_owned())],
    );
    let ports = vec![network::port("amqp", AMQP), network::port("management", MANAGEMENT)];
    let pods = Pods {
        user: security::SERVER,
        init_containers: vec![Container {
            env: Some(environment(platform)),
            volume_mounts: Some(vec![mount_read_only("secret", "/secret"), mount("home", "/run/rabbitmq")]),
            ..init_container(platform, COMPONENT, "cookie", &["timeout", "120", "sh", "-c", PREPARE])
        }],
        container: probed(
            Container {
                command: Some(words(&["rabbitmq-server"])),
                env: Some(environment(platform)),
                ports: Some(vec![port("amqp", AMQP), port("management", MANAGEMENT), port("prometheus", PROMETHEUS)]),
                volume_mounts: Some(vec![
                    mount_read_only("config", "/etc/rabbitmq"),
                    mount("home", "/run/rabbitmq"),
                    mount(volume::DATA, "/data"),
                    mount("tmp", "/tmp"),
                ]),
                ..container(platform, COMPONENT, "rabbitmq", platform.rabbitmq.resources.clone())
            },
            // Queues are recovered first.
            300,
            Question::Tcp("amqp"),
            Question::Tcp("amqp"),
        ),
        volumes: vec![
            volume::config_map_and_secret("config", &object, &object),
            volume::secret("secret", &object),
            volume::memory("home"),
            volume::scratch("tmp", "64Mi"),
        ],
        read_at_start: [
            Some(configuration),
            Some(PLUGINS.to_owned()),
            platform.material.read_at_start(COMPONENT.name()),
        ]
        .into_iter()
        .flatten()
        .collect(),
        grace_seconds: 60,
    };
    let service = network::headless(platform, COMPONENT, ports);
    (files, service, stateful_set(platform, COMPONENT, 1, &platform.rabbitmq.storage, pods))
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
        env("RABBITMQ_MNESIA_BASE", "/data"),
        env("RABBITMQ_CONFIG_FILE", "/etc/rabbitmq/rabbitmq"),
        env("RABBITMQ_ENABLED_PLUGINS_FILE", "/etc/rabbitmq/enabled_plugins"),
        env("RABBITMQ_LOG_BASE", "/tmp"),
        // One scheduler that sleeps when it has nothing to do: by default Erlang starts one for each core of the node and spins.
        env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"),
    ]
}

fn configuration(platform: &Platform) -> String {
    // Publishers are paused above this; the rest is for the runtime and for paging out.
    let memory = platform.rabbitmq.memory_mebibytes * 6 / 10;
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
"
    )
}
