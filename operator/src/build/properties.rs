//! What holds for every platform, tried with many.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use k8s_openapi::api::core::v1::{Secret, Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ObjectMeta;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::ChatPlatform;
use crate::observe::Observed;
use crate::validate::{Hibernation, Platform, Step, Upgrade, validate};

mod changes;
mod exposure;
mod sight;
mod specs;
mod upgrades;

pub(super) use sight::{containers, templates};
use sight::{objects, times};
pub(super) use specs::spec;
pub(crate) use specs::{certificate, platform, service_account};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn two_calls_give_equal_bytes(spec in spec()) {
        let platform = platform("acme", &spec);
        prop_assert_eq!(json!(objects(&build(&platform))).to_string(), json!(objects(&build(&platform))).to_string());
    }

    #[test]
    fn every_container_has_probes_resources_and_a_restricted_security_context(spec in spec()) {
        for (_, template, _) in templates(&build(&platform("acme", &spec))) {
            let pod = template.spec.clone().unwrap();
            prop_assert_eq!(pod.automount_service_account_token, Some(false));
            prop_assert_eq!(pod.enable_service_links, Some(false));
            let security = pod.security_context.unwrap();
            prop_assert_eq!(security.run_as_non_root, Some(true));
            prop_assert!(security.run_as_user.unwrap() > 0);
            prop_assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
            for (container, is_init) in containers(&template) {
                let context = container.security_context.unwrap();
                prop_assert_eq!(context.allow_privilege_escalation, Some(false));
                prop_assert_eq!(context.read_only_root_filesystem, Some(true));
                prop_assert_eq!(context.run_as_non_root, Some(true));
                prop_assert_eq!(context.privileged, None);
                prop_assert_eq!(context.capabilities.unwrap().drop.unwrap(), vec!["ALL".to_owned()]);
                let resources = container.resources.unwrap();
                let (requests, limits) = (resources.requests.unwrap(), resources.limits.unwrap());
                prop_assert!(requests.contains_key("cpu") && requests.contains_key("memory") && limits.contains_key("memory"));
                for (name, limit) in &limits {
                    let amount = |quantity: &str| crate::api::quantity::milli(quantity).unwrap();
                    prop_assert!(amount(&requests[name].0) <= amount(&limit.0), "{name} of {}", container.name);
                }
                let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
                prop_assert!(is_init || probes.iter().all(|probe| probe.is_some()), "{} lacks a probe", container.name);
                prop_assert!(container.command.is_some(), "{} is left to its image", container.name);
            }
        }
    }

    #[test]
    fn every_probe_asks_a_port_that_the_container_has(spec in spec()) {
        for (_, template, _) in templates(&build(&platform("acme", &spec))) {
            for (container, _) in containers(&template) {
                let ports: BTreeSet<_> = container.ports.iter().flatten().filter_map(|port| port.name.clone()).collect();
                for probe in [container.startup_probe, container.readiness_probe, container.liveness_probe].into_iter().flatten() {
                    if probe.exec.is_some() {
                        continue;
                    }
                    let port = probe.http_get.map(|get| get.port).or_else(|| probe.tcp_socket.map(|tcp| tcp.port)).unwrap();
                    let k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String(name) = port else { panic!("{port:?}") };
                    prop_assert!(ports.contains(&name), "{} has no port {name}", container.name);
                }
            }
        }
    }

    #[test]
    fn every_container_that_serves_has_a_pause_before_its_stop_and_the_time_to_end_by_itself(spec in spec()) {
        let serves = ["gateway", "auth", "chat", "media", "notification", "web", "edge"];
        let resources = build(&platform("acme", &spec));
        let mut seen = BTreeSet::new();
        for deployment in &resources.deployments {
            let component = deployment.metadata.labels.as_ref().unwrap()[labels::NAME].clone();
            let spec = deployment.spec.as_ref().unwrap();
            let pod = spec.template.spec.as_ref().unwrap();
            let [container] = &pod.containers[..] else { panic!("{component} has other containers") };
            let pause = json!(container)["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().unwrap();
            let (settle, drain) = times(&resources, &component, container);
            let grace = pod.termination_grace_period_seconds.unwrap();
            prop_assert!(pause >= 2 && settle >= 3, "{component} leaves {pause} s and {settle} s to who has to hear of it");
            prop_assert!(drain >= 20, "{component} drains {drain} s");
            prop_assert!(pause + settle + drain + 5 <= grace, "{component} is killed after {grace} s");
            // Whoever lets go later than the server does may find its connection closed under a request.
            prop_assert!(stop::KEEP_IDLE_SECONDS < settle);
            let rolling = json!(spec.strategy);
            prop_assert_eq!(&rolling["rollingUpdate"], &json!({"maxSurge": 1, "maxUnavailable": 0}));
            seen.insert(component);
        }
        prop_assert!(serves.iter().all(|component| seen.contains(*component)), "{seen:?}");
    }

    #[test]
    fn every_mounted_path_has_its_volume_and_every_volume_is_mounted(spec in spec()) {
        for (_, template, claims) in templates(&build(&platform("acme", &spec))) {
            let pod = template.spec.clone().unwrap();
            let volumes: BTreeSet<String> = pod.volumes.into_iter().flatten().map(|volume| volume.name).chain(claims).collect();
            let mut mounted = BTreeSet::new();
            for (container, _) in containers(&template) {
                let mut paths = BTreeSet::new();
                for mount in container.volume_mounts.into_iter().flatten() {
                    prop_assert!(volumes.contains(&mount.name), "{} mounts {}", container.name, mount.name);
                    prop_assert!(paths.insert(mount.mount_path.clone()), "{} twice in {}", mount.mount_path, container.name);
                    mounted.insert(mount.name);
                }
            }
            prop_assert_eq!(mounted, volumes);
        }
    }

    #[test]
    fn what_is_mounted_and_referred_to_is_built_or_the_users_own(spec in spec()) {
        let resources = build(&platform("acme", &spec));
        let name = |metadata: &ObjectMeta| metadata.name.clone().unwrap();
        let secrets: BTreeSet<_> = resources.secrets.iter().map(|secret| name(&secret.metadata))
            .chain(["smtp-login".into(), "search-login".into(), "push-key".into()]).collect();
        let config_maps: BTreeSet<_> = resources.config_maps.iter().map(|files| name(&files.metadata)).collect();
        for (_, template, _) in templates(&resources) {
            for volume in template.spec.clone().unwrap().volumes.into_iter().flatten() {
                let projected = volume.projected.and_then(|projected| projected.sources).unwrap_or_default();
                let secret = volume.secret.and_then(|secret| secret.secret_name);
                let projected_secrets = projected.iter().filter_map(|source| Some(source.secret.as_ref()?.name.clone()));
                for secret in secret.into_iter().chain(projected_secrets) {
                    prop_assert!(secrets.contains(&secret), "no Secret {secret}");
                }
                let files = volume.config_map.map(|files| files.name);
                let projected_files = projected.iter().filter_map(|source| Some(source.config_map.as_ref()?.name.clone()));
                for files in files.into_iter().chain(projected_files) {
                    prop_assert!(config_maps.contains(&files), "no ConfigMap {files}");
                }
            }
        }
    }

    #[test]
    fn names_fit_and_are_unique_among_their_kind(spec in spec(), name in "[a-z][a-z0-9]{30}[a-z0-9]") {
        let mut seen = BTreeSet::new();
        for object in objects(&build(&platform(&name, &spec))) {
            let (kind, name) = (object["kind"].as_str().unwrap().to_owned(), object["metadata"]["name"].as_str().unwrap().to_owned());
            // The longest that is made from it: the label of a StatefulSet's revision.
            prop_assert!(name.len() + "-0123456789".len() <= 63, "{name}");
            prop_assert!(seen.insert((kind, name)));
        }
    }

    #[test]
    fn every_object_carries_our_labels_and_its_owner(spec in spec()) {
        let platform = platform("acme", &spec);
        for object in objects(&build(&platform)) {
            let (metadata, name) = (&object["metadata"], &object["metadata"]["name"]);
            prop_assert_eq!(&metadata["namespace"], "team");
            prop_assert_eq!(&metadata["labels"]["app.kubernetes.io/instance"], "acme");
            prop_assert_eq!(&metadata["labels"]["app.kubernetes.io/part-of"], "chatplatform");
            prop_assert_eq!(&metadata["labels"]["app.kubernetes.io/managed-by"], "chatplatform-operator");
            // These objects alone are for several components.
            let component = metadata["labels"]["app.kubernetes.io/name"].as_str().and_then(Component::from_name);
            let several = ["acme-default-deny", "acme-migration", "acme-metrics", "acme-backup", "acme-restore"];
            // The Secret of backups is the replica set's.
            let is_of_several = object["kind"] != "Secret" && several.iter().any(|several| name == several);
            prop_assert_eq!(component.is_none(), is_of_several);
            let passing = ["acme-edge-tls", "acme-mongodb-tls"].iter().any(|passing| name == passing);
            let kept = spec["deletionPolicy"] == "Retain" && object["kind"] == "Secret" && !passing;
            prop_assert_eq!(metadata["ownerReferences"][0]["uid"] == "u-1", !kept, "{}", name);
        }
    }

    #[test]
    fn selectors_match_the_labels_of_the_pods_they_are_meant_for(spec in spec()) {
        let resources = build(&platform("acme", &spec));
        for (selector, template, _) in templates(&resources) {
            let labels = template.metadata.clone().unwrap().labels.unwrap();
            let wanted = selector.match_labels.unwrap();
            prop_assert!(!wanted.is_empty() && wanted.iter().all(|(label, value)| labels.get(label) == Some(value)));
        }
        for service in &resources.services {
            let selector = service.spec.as_ref().unwrap().selector.clone().unwrap();
            let chosen = templates(&resources).into_iter().filter(|(_, template, _)| {
                let labels = template.metadata.clone().unwrap().labels.unwrap();
                selector.iter().all(|(label, value)| labels.get(label) == Some(value))
            });
            prop_assert_eq!(chosen.count(), 1, "{:?}", &service.metadata.name);
        }
    }

    #[test]
    fn one_alone_says_how_many_pods_a_deployment_has(spec in spec()) {
        let resources = build(&platform("acme", &spec));
        for deployment in &resources.deployments {
            let scaled = resources.autoscalers.iter().filter(|autoscaler| autoscaler.metadata.name == deployment.metadata.name);
            let said = deployment.spec.as_ref().unwrap().replicas;
            prop_assert_eq!(scaled.count() + usize::from(said.is_some()), 1, "{:?}", &deployment.metadata.name);
        }
        for autoscaler in &resources.autoscalers {
            let target = &autoscaler.spec["scaleTargetRef"]["name"];
            prop_assert!(resources.deployments.iter().any(|deployment| deployment.metadata.name.as_deref() == target.as_str()));
        }
    }

    #[test]
    fn no_override_takes_a_label_of_the_operators_own_away(spec in spec()) {
        for deployment in build(&platform("acme", &spec)).deployments {
            let pods = deployment.spec.unwrap().template.metadata.unwrap().labels.unwrap();
            for (label, value) in deployment.metadata.labels.unwrap() {
                prop_assert_eq!(pods.get(&label), Some(&value));
            }
        }
    }

    #[test]
    fn every_port_of_a_service_leads_to_a_port_of_its_pods(spec in spec()) {
        let resources = build(&platform("acme", &spec));
        for service in &resources.services {
            let component = &service.metadata.labels.as_ref().unwrap()[labels::NAME];
            let (_, template, _) = templates(&resources).into_iter()
                .find(|(selector, _, _)| &selector.match_labels.as_ref().unwrap()[labels::NAME] == component).unwrap();
            let ports: BTreeSet<_> = containers(&template).into_iter()
                .flat_map(|(container, _)| container.ports.into_iter().flatten()).filter_map(|port| port.name).collect();
            for port in service.spec.as_ref().unwrap().ports.iter().flatten() {
                prop_assert!(ports.contains(port.name.as_ref().unwrap()), "{component} has no port {:?}", &port.name);
            }
        }
    }
}
