//! The pods of three servers: in each a server, and a sentinel that watches all three.
//!
//! Both are started by scripts, because what a server is (the master or a replica) is decided among the sentinels and changes without
//! the operator. The scripts are files beside this one, and tests run them with real servers (`e2e/servers`).

use k8s_openapi::api::core::v1::{
    Container, EnvVar, ExecAction, Lifecycle, LifecycleHandler, ResourceRequirements, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{COMPONENT, DATA, PORT, SETTINGS, read_at_start};
use crate::build::container::{container, env, env_of_pod, mount, mount_read_only, port, words};
use crate::build::probe::{Question, probe, probed};
use crate::build::workload::{Pods, Rolling};
use crate::build::{security, volume};
use crate::secrets::Names;
use crate::validate::{Platform, Servers};

/// The port of sentinels, for clients and for each other.
pub(in crate::build) const SENTINEL_PORT: i32 = 26379;

const REPLICATED: &str = include_str!("replicated.conf");
const SENTINEL: &str = include_str!("sentinel.conf");

/// Time to hand over (`stop.sh`), and to stop.
const GRACE_SECONDS: i64 = 75;

/// What the pods mount, beside their Secret.
pub(super) fn files(settings: String) -> [(&'static str, String); 8] {
    [
        ("redis.conf", settings + REPLICATED),
        ("sentinel.conf", SENTINEL.to_owned()),
        ("ask.sh", include_str!("ask.sh").to_owned()),
        ("start.sh", include_str!("start.sh").to_owned()),
        ("sentinel.sh", include_str!("sentinel.sh").to_owned()),
        ("stop.sh", include_str!("stop.sh").to_owned()),
        ("ready.sh", include_str!("ready.sh").to_owned()),
        ("alive.sh", include_str!("alive.sh").to_owned()),
    ]
}

pub(super) fn pods(platform: &Platform, servers: &Servers, settings: String) -> Pods {
    let object = platform.names.object(COMPONENT.name());
    Pods {
        user: security::SERVER,
        init_containers: vec![],
        container: server(platform, servers),
        sidecars: vec![sentinel(platform, servers)],
        volumes: vec![volume::config_map_and_secret("config", &object, &object)],
        // A changed script takes effect at the next start or stop, and is no reason for one.
        read_at_start: read_at_start(platform, [settings, REPLICATED.to_owned(), SENTINEL.to_owned()]),
        grace_seconds: GRACE_SECONDS,
        rolling: Rolling::ByItself,
    }
}

fn server(platform: &Platform, servers: &Servers) -> Container {
    let hand_over = ExecAction { command: Some(words(&["sh", "/etc/redis/stop.sh"])) };
    let alive = Question::Command(&["sh", "/etc/redis/alive.sh", "6379"]);
    let ready = Question::Command(&["sh", "/etc/redis/ready.sh"]);
    Container {
        command: Some(words(&["sh", "/etc/redis/start.sh"])),
        env: Some(environment(platform, servers)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler { exec: Some(hand_over), ..LifecycleHandler::default() }),
            ..Lifecycle::default()
        }),
        ports: Some(vec![port("redis", PORT)]),
        volume_mounts: Some(mounts()),
        // A server that waits for the others to replace it listens only when they have.
        startup_probe: Some(probe(Question::Tcp("redis"), 1, 120, 2)),
        readiness_probe: Some(probe(ready, 5, 2, 5)),
        // Any answer is life: while it loads its data or copies the master's it gives one.
        liveness_probe: Some(probe(alive, 20, 3, 6)),
        ..container(platform, COMPONENT, "redis", servers.each.resources.clone())
    }
}

fn sentinel(platform: &Platform, servers: &Servers) -> Container {
    let amounts = |cpu: &str, memory: &str| {
        Some([("cpu".into(), Quantity(cpu.into())), ("memory".into(), Quantity(memory.into()))].into())
    };
    let resources = ResourceRequirements {
        requests: amounts("10m", "16Mi"),
        limits: Some([("memory".into(), Quantity("64Mi".into()))].into()),
        ..ResourceRequirements::default()
    };
    probed(
        Container {
            command: Some(words(&["sh", "/etc/redis/sentinel.sh"])),
            env: Some(environment(platform, servers)),
            ports: Some(vec![port("sentinel", SENTINEL_PORT)]),
            volume_mounts: Some(mounts()),
            ..container(platform, COMPONENT, "sentinel", resources)
        },
        60,
        Question::Tcp("sentinel"),
        Question::Tcp("sentinel"),
    )
}

fn mounts() -> Vec<VolumeMount> {
    vec![mount_read_only("config", SETTINGS), mount(volume::DATA, DATA)]
}

/// What the scripts go by; `ask.sh` says what is what.
fn environment(platform: &Platform, servers: &Servers) -> Vec<EnvVar> {
    // Without the domain, which the scripts find out: a cluster may have another than most.
    let service = platform.names.object(COMPONENT.name());
    let member = |pod: &str| format!("{pod}.{service}:{PORT}:{SENTINEL_PORT}");
    let members: Vec<_> = (0..servers.replicas).map(|ordinal| member(&format!("{service}-{ordinal}"))).collect();
    vec![
        env_of_pod("POD_NAME", "metadata.name"),
        env("REDIS_MEMBERS", members.join(" ")),
        env("REDIS_SELF", member("$(POD_NAME)")),
        env("REDIS_MASTER", Names::REDIS_MASTER),
        env("REDIS_SETTINGS", SETTINGS),
        env("REDIS_DATA", DATA),
        // A sentinel that waits for a name does nothing else, and when that takes two seconds it acts on nothing for half a minute.
        env("RES_OPTIONS", "timeout:1 attempts:1"),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use k8s_openapi::api::apps::v1::StatefulSet;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::build::properties::platform;
    use crate::build::redis::build;
    use crate::build::workload::CONFIG_DIGEST;

    fn redis(spec: &serde_json::Value) -> (ConfigMap, StatefulSet) {
        let platform = platform("acme", &json!({"host": "a.example", "redis": spec}));
        let (files, _, set) = build(&platform, platform.redis.managed().unwrap());
        (files, set)
    }

    fn variables(container: &Container) -> BTreeMap<&str, &str> {
        let variables = container.env.iter().flatten();
        variables.filter_map(|variable| Some((variable.name.as_str(), variable.value.as_deref()?))).collect()
    }

    #[test]
    fn every_script_that_a_pod_runs_is_in_its_settings() {
        let (files, set) = redis(&json!({"replicas": 3}));
        let files = files.data.unwrap();
        let pod = set.spec.unwrap().template.spec.unwrap();
        let text = json!(pod).to_string();
        let named: Vec<&str> = text.split('"').filter_map(|word| word.strip_prefix("/etc/redis/")).collect();
        assert!(named.len() >= 5, "{named:?}");
        assert!(named.iter().all(|name| files.contains_key(*name)), "{named:?}");
    }

    #[test]
    fn the_settings_speak_of_the_master_by_the_name_that_everybody_asks_for() {
        let settings = SENTINEL.lines().filter(|line| line.starts_with("sentinel ") && line.split(' ').count() == 4);
        assert!(settings.clone().count() >= 3);
        assert!(settings.into_iter().all(|line| line.split(' ').nth(2) == Some(Names::REDIS_MASTER)));
    }

    #[test]
    fn a_member_knows_itself_among_the_others() {
        let (_, set) = redis(&json!({"replicas": 3}));
        let pod = set.spec.unwrap().template.spec.unwrap();
        for container in &pod.containers {
            let variables = variables(container);
            let members: Vec<&str> = variables["REDIS_MEMBERS"].split(' ').collect();
            assert_eq!(members.len(), 3);
            let own = variables["REDIS_SELF"].replace("$(POD_NAME)", "acme-redis-2");
            assert_eq!(own, members[2]);
            assert_eq!(own, "acme-redis-2.acme-redis:6379:26379");
        }
    }

    #[test]
    fn a_single_server_has_no_sentinel_and_no_script() {
        let (files, set) = redis(&json!({}));
        assert_eq!(files.data.unwrap().into_keys().collect::<Vec<_>>(), ["redis.conf"]);
        assert_eq!(set.spec.unwrap().template.spec.unwrap().containers.len(), 1);
    }

    #[test]
    fn memory_comes_from_the_limit_and_a_change_of_it_rolls_the_pods() {
        let with = |memory: &str| {
            let (files, set) = redis(&json!({"replicas": 3, "resources": {"limits": {"memory": memory}}}));
            let digest = set.spec.unwrap().template.metadata.unwrap().annotations.unwrap()[CONFIG_DIGEST].clone();
            (files.data.unwrap()["redis.conf"].clone(), digest)
        };
        let (small, large) = (with("128Mi"), with("1Gi"));
        assert!(small.0.contains("maxmemory 76mb\n") && large.0.contains("maxmemory 614mb\n"));
        assert!(small.0.contains("min-replicas-to-write 1\n"));
        assert_ne!(small.1, large.1);
    }
}
