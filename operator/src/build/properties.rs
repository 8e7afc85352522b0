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

fn amounts() -> impl Strategy<Value = Value> {
    let cpu = prop::option::of(prop::sample::select(vec![json!("100m"), json!("0.5"), json!(1)]));
    let memory = prop::option::of(prop::sample::select(vec!["300Mi", "1Gi", "2G"]));
    (cpu, memory).prop_map(|(cpu, memory)| {
        let mut requests = json!({});
        if let Some(cpu) = cpu {
            requests["cpu"] = cpu;
        }
        if let Some(memory) = memory {
            requests["memory"] = json!(memory);
        }
        json!({ "requests": requests })
    })
}

fn workload() -> impl Strategy<Value = Value> {
    let fixed = (1..=20_i32).prop_map(|replicas| json!({ "replicas": replicas }));
    let scaled = (1..=10_i32, 0..=10_i32, prop::option::of(1..=1000_i32)).prop_map(|(fewest, more, cpu)| {
        let mut autoscaling = json!({"minReplicas": fewest, "maxReplicas": fewest + more});
        if let Some(cpu) = cpu {
            autoscaling["targetCPUUtilization"] = json!(cpu);
        }
        json!({ "autoscaling": autoscaling })
    });
    (prop_oneof![2 => fixed, 1 => scaled], amounts(), pod_template()).prop_map(|(mut workload, resources, template)| {
        workload["resources"] = resources;
        if let Some(template) = template {
            workload["podTemplate"] = template;
        }
        workload
    })
}

fn pod_template() -> impl Strategy<Value = Option<Value>> {
    prop::sample::select(vec![
        None,
        Some(json!({"labels": {"team": "blue"}, "annotations": {"example.com/scrape": "true"}})),
        Some(
            json!({"nodeSelector": {"pool": "chat"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "high"}),
        ),
        Some(json!({"affinity": {}, "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"},
        ]})),
    ])
}

fn storage() -> impl Strategy<Value = Value> {
    let size = prop::sample::select(vec!["1Gi", "20Gi", "500G"]);
    let class = prop::option::of(prop::sample::select(vec!["standard", "fast"]));
    (size, class).prop_map(|(size, class)| {
        let mut storage = json!({ "size": size });
        if let Some(class) = class {
            storage["className"] = json!(class);
        }
        storage
    })
}

fn server() -> impl Strategy<Value = Value> {
    (storage(), amounts()).prop_map(|(storage, resources)| json!({"storage": storage, "resources": resources}))
}

fn images() -> impl Strategy<Value = Value> {
    let registry = prop::option::of(prop::sample::select(vec!["registry.example", "localhost:5000/mirror/"]));
    let policy = prop::sample::select(vec!["Always", "IfNotPresent", "Never"]);
    (registry, policy, prop::collection::btree_set("[a-z]{1,8}", 0..3)).prop_map(|(registry, policy, secrets)| {
        let secrets: Vec<Value> = secrets.into_iter().map(|name| json!({ "name": name })).collect();
        let mut images = json!({"pullPolicy": policy, "pullSecrets": secrets});
        if let Some(registry) = registry {
            images["registry"] = json!(registry);
        }
        images
    })
}

fn exposure() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({}),
        json!({"type": "ClusterIP"}),
        json!({"type": "NodePort", "nodePort": 30443}),
        json!({"type": "LoadBalancer", "annotations": {"cloud.example/internal": "true"}}),
        json!({"type": "Ingress"}),
        json!({"type": "Ingress", "className": "traefik", "controllerNamespace": "ingress", "annotations": {"a.example/b": "c"}}),
        json!({"type": "Gateway", "parentRefs": [{"name": "public"}]}),
        json!({
            "type": "Gateway",
            "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443}, {"name": "b"}],
            "controllerNamespace": "ingress",
        }),
    ])
}

pub(super) fn spec() -> impl Strategy<Value = Value> {
    let services = prop::collection::btree_map(
        prop::sample::select(vec!["edge", "gateway", "auth", "chat", "media", "notification", "web"]),
        workload(),
        0..7,
    );
    let external = || json!({"external": {"connectionSecretRef": {"name": "theirs"}}});
    let several = move |field: &'static str, counts: Vec<i32>| {
        let own = (prop::sample::select(counts), server()).prop_map(move |(count, mut server)| {
            server[field] = json!(count);
            server
        });
        prop_oneof![1 => Just(json!({})), 4 => own, 1 => Just(external())]
    };
    let servers =
        (several("members", vec![1, 3, 5, 7]), several("replicas", vec![1, 3]), several("replicas", vec![1, 3, 5]));
    let bucket = json!({"external": {
        "endpoint": "https://s3.example.com", "bucket": "files", "credentialsSecretRef": {"name": "theirs"},
    }});
    let storage = prop_oneof![
        1 => Just(json!({})),
        2 => server().prop_map(|server| json!({ "managed": server })),
        1 => Just(bucket),
    ];
    let tls = prop::sample::select(vec![
        None,
        Some(json!({"selfSigned": {}})),
        Some(json!({"secretName": "own-certificate"})),
        Some(json!({"issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"}})),
    ]);
    let email = prop::sample::select(vec![
        None,
        Some(json!({"host": "smtp", "from": "chat@acme.example", "tls": "None"})),
        Some(
            json!({"host": "smtp", "port": 2525, "from": "chat@acme.example", "credentialsSecretRef": {"name": "smtp-login"}}),
        ),
    ]);
    let push = prop::sample::select(vec![
        None,
        Some(json!({"projectId": "acme-chat-1", "credentialsSecretRef": {"name": "push-key"}})),
        Some(
            json!({"projectId": "acme-chat-1", "credentialsSecretRef": {"name": "push-key"}, "endpoint": "https://fcm.example:8443/"}),
        ),
    ]);
    let policy = prop::sample::select(vec!["Retain", "Delete"]);
    let network = prop_oneof![
        3 => Just(None),
        1 => Just(Some(json!({"mode": "Isolated"}))),
        1 => Just(Some(json!({"mode": "Open"}))),
    ];
    let hibernated = prop::bool::weighted(0.2);
    let tracing = prop::sample::select(vec![
        None,
        Some(json!({"endpoint": "http://collector.monitoring:4318", "samplingPercent": 10})),
    ]);
    let monitoring = prop::sample::select(vec![None, Some(json!({"podMonitor": {"interval": "30s"}}))]);
    (services, servers, storage, (tls, (email, push), policy, network, hibernated, (tracing, monitoring)), exposure(), images()).prop_map(
        |(
            services,
            (mongodb, redis, rabbitmq),
            storage,
            (tls, (email, push), policy, network, hibernated, (tracing, monitoring)),
            exposure,
            images,
        )| {
            let mut spec =
                json!({"host": "chat.acme.example", "deletionPolicy": policy, "exposure": exposure, "images": images});
            spec["hibernated"] = json!(hibernated);
            for (name, value) in services {
                spec[name] = value;
            }
            for (name, value) in
                [("mongodb", mongodb), ("redis", redis), ("rabbitmq", rabbitmq), ("objectStorage", storage)]
            {
                spec[name] = value;
            }
            for (name, value) in [("tls", tls), ("email", email), ("push", push), ("networkPolicy", network), ("tracing", tracing), ("monitoring", monitoring)] {
                if let Some(value) = value {
                    spec[name] = value;
                }
            }
            spec
        },
    )
}

pub(crate) fn platform(name: &str, spec: &Value) -> Platform {
    let document: ChatPlatform = serde_json::from_value(json!({
        "apiVersion": "chatplatform.dev/v1alpha1",
        "kind": "ChatPlatform",
        "metadata": {"name": name, "namespace": "team", "uid": "u-1"},
        "spec": spec,
    }))
    .unwrap();
    let users_own = |name: &str, keys: &[&str]| {
        let value = k8s_openapi::ByteString(b"x".to_vec());
        let secret =
            Secret { data: Some(keys.iter().map(|key| ((*key).into(), value.clone())).collect()), ..Secret::default() };
        (name.to_owned(), secret)
    };
    let service = |component: &str, address: &str| Service {
        metadata: ObjectMeta { name: Some(format!("{name}-{component}")), ..ObjectMeta::default() },
        spec: Some(ServiceSpec { cluster_ip: Some(address.into()), ..ServiceSpec::default() }),
        status: None,
    };
    let observed = Observed {
        services: vec![service("gateway", "10.0.0.1"), service("web", "10.0.0.2")],
        named: [
            certificate("own-certificate"),
            users_own("smtp-login", &["username", "password"]),
            service_account("push-key"),
            users_own("theirs", &["uri", "url", "accessKeyId", "secretAccessKey"]),
        ]
        .into(),
        operator_namespace: "operators".into(),
        ..Observed::default()
    };
    validate(&document, &observed, &mut rand::rng(), jiff::Timestamp::now()).unwrap()
}

/// The key of a service account, in a person's Secret.
pub(crate) fn service_account(name: &str) -> (String, Secret) {
    let file = json!({
        "type": "service_account",
        "client_email": "push@acme-chat-1.iam.gserviceaccount.com",
        "private_key": rcgen::KeyPair::generate().unwrap().serialize_pem(),
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    let data = [("service-account.json".to_owned(), k8s_openapi::ByteString(file.to_string().into_bytes()))];
    let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
    (name.to_owned(), Secret { metadata, data: Some(data.into()), ..Secret::default() })
}

/// A certificate that a person has made, in their Secret.
pub(crate) fn certificate(name: &str) -> (String, Secret) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["chat.acme.example".to_owned()]).unwrap();
    let pair = [("tls.crt", params.self_signed(&key).unwrap().pem()), ("tls.key", key.serialize_pem())];
    let data = pair.map(|(key, pem)| (key.to_owned(), k8s_openapi::ByteString(pem.into_bytes())));
    let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
    (name.to_owned(), Secret { metadata, data: Some(data.into()), ..Secret::default() })
}

/// Every object with its metadata, by JSON, as its kind does not matter.
fn objects(resources: &Resources<Prepared>) -> Vec<Value> {
    // Without `..`, so that no kind is forgotten here either.
    let Resources {
        secrets,
        config_maps,
        services,
        stateful_sets,
        jobs,
        deployments,
        autoscalers,
        disruption_budgets,
        network_policies,
        certificates,
        ingresses,
        http_routes,
        pod_monitors,
        state: _,
    } = resources;
    let values = |list: Value| list.as_array().unwrap().clone();
    [
        json!(secrets),
        json!(config_maps),
        json!(services),
        json!(stateful_sets),
        json!(jobs),
        json!(deployments),
        json!(autoscalers),
        json!(disruption_budgets),
        json!(network_policies),
        json!(certificates),
        json!(ingresses),
        json!(http_routes),
        json!(pod_monitors),
    ]
    .into_iter()
    .flat_map(values)
    .collect()
}

/// Every pod template with the selector of who makes it and the volumes that are claimed for it.
pub(super) fn templates(resources: &Resources<Prepared>) -> Vec<(LabelSelector, PodTemplateSpec, Vec<String>)> {
    let sets = resources.stateful_sets.iter().map(|set| {
        let spec = set.spec.clone().unwrap();
        let claims =
            spec.volume_claim_templates.into_iter().flatten().filter_map(|claim| claim.metadata.name).collect();
        (spec.selector, spec.template, claims)
    });
    let deployments = resources.deployments.iter().map(|deployment| {
        let spec = deployment.spec.clone().unwrap();
        (spec.selector, spec.template, vec![])
    });
    sets.chain(deployments).collect()
}

/// How long a server goes on taking connections once it is told to stop, and how long it then lets requests end: of a service by its
/// environment, of an Nginx by its files.
fn times(resources: &Resources<Prepared>, component: &str, container: &Container) -> (i64, i64) {
    let variable = |name: &str| {
        let name = format!("CHATPLATFORM_SERVER__{name}_SECONDS");
        let mut found = container.env.iter().flatten().filter(|variable| variable.name == name);
        found.find_map(|variable| variable.value.as_ref()?.parse().ok())
    };
    if let (Some(settle), Some(drain)) = (variable("SETTLE"), variable("DRAIN")) {
        return (settle, drain);
    }
    assert_eq!(container.command.as_ref().unwrap(), &["sh", "/etc/nginx-config/serve.sh"]);
    let name = Some(format!("acme-{component}"));
    let files = resources.config_maps.iter().find(|files| files.metadata.name == name).unwrap().data.as_ref().unwrap();
    let number = |file: &str, before: &str| {
        let digits = files[file].split(before).nth(1).unwrap().chars().take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().unwrap()
    };
    (number("serve.sh", "sleep "), number("nginx.conf", "worker_shutdown_timeout "))
}

pub(super) fn containers(template: &PodTemplateSpec) -> Vec<(Container, bool)> {
    let pod = template.spec.clone().unwrap();
    let init = pod.init_containers.into_iter().flatten().map(|container| (container, true));
    init.chain(pod.containers.into_iter().map(|container| (container, false))).collect()
}

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
            .chain(["smtp-login".into(), "push-key".into()]).collect();
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
            let is_of_several = ["acme-default-deny", "acme-migration", "acme-metrics"].iter().any(|several| name == several);
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

/// A platform whose databases are brought to the form of this release.
fn migrating(spec: &Value) -> Platform {
    let upgrade = Some(Upgrade::at("0.0.1", Step::Migrate));
    Platform { upgrade, ..platform("acme", spec) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_job_migrates_each_database_as_a_restricted_pod_that_gets_no_requests_and_has_no_other_secrets(spec in spec()) {
        let resources = build(&migrating(&spec));
        prop_assert_eq!(resources.jobs.len(), 4);
        for job in &resources.jobs {
            let (name, job_spec) = (job.metadata.name.clone().unwrap(), job.spec.clone().unwrap());
            prop_assert!(name.len() + "-0123456789".len() <= 63, "{name}");
            prop_assert!(job_spec.backoff_limit.is_some());
            let template = job_spec.template;
            let labels = template.metadata.clone().unwrap().labels.unwrap();
            let service = labels[labels::COMPONENT].clone();
            prop_assert!(name.starts_with(&format!("acme-{service}-")), "{name}");
            let chosen = resources.services.iter().any(|service| {
                let selector = service.spec.as_ref().unwrap().selector.clone().unwrap();
                selector.iter().all(|(label, value)| labels.get(label) == Some(value))
            });
            prop_assert!(!chosen, "requests are sent to {name}");
            let pod = template.spec.clone().unwrap();
            prop_assert_eq!(pod.restart_policy.as_deref(), Some("Never"));
            prop_assert_eq!(pod.automount_service_account_token, Some(false));
            prop_assert_eq!(pod.security_context.clone().unwrap(), security::pod(security::OURS));
            let secrets: Vec<_> = pod.volumes.iter().flatten()
                .filter_map(|volume| volume.secret.as_ref()?.secret_name.clone()).collect();
            prop_assert_eq!(secrets, [format!("acme-{service}")]);
            for (container, _) in containers(&template) {
                prop_assert_eq!(container.security_context.clone(), Some(security::container()));
                let resources = container.resources.unwrap();
                prop_assert!(resources.requests.unwrap().contains_key("cpu") && resources.limits.unwrap().contains_key("memory"));
                prop_assert_eq!(container.command.unwrap(), [format!("/usr/local/bin/{service}"), "migrate".to_owned()]);
                let volumes: BTreeSet<_> = pod.volumes.iter().flatten().map(|volume| volume.name.clone()).collect();
                let mounted: BTreeSet<_> = container.volume_mounts.unwrap().into_iter().map(|mount| mount.name).collect();
                prop_assert_eq!(volumes, mounted);
            }
        }
    }

    #[test]
    fn until_its_turn_comes_a_component_is_built_as_it_was_in_the_release_before(spec in spec(), turn in 0..5_usize) {
        let release = |platform: &Platform| -> Vec<(String, Value)> {
            let deployments = build(platform).deployments.into_iter();
            deployments.map(|deployment| {
                (deployment.metadata.annotations.unwrap()[labels::RELEASE].clone(), json!(deployment.spec.unwrap().template))
            }).collect()
        };
        let new = platform("acme", &spec);
        let rolling = Platform { upgrade: Some(Upgrade::at("0.0.1", Step::Roll(turn))), ..new.clone() };
        let old = Platform { version: "0.0.1".to_owned(), ..new.clone() };
        for ((old, new), now) in release(&old).into_iter().zip(release(&new)).zip(release(&rolling)) {
            prop_assert!(now == old || now == new, "{now:?}");
        }
        let changed = release(&rolling).into_iter().filter(|(release, _)| release == crate::VERSION).count();
        prop_assert_eq!(changed, [1, 4, 5, 6, 7][turn]);
        prop_assert!(build(&rolling).jobs.is_empty());
    }

    #[test]
    fn the_release_of_the_operator_is_in_no_object_of_a_platform_that_has_another(spec in spec()) {
        let old = Platform { version: "0.0.1".to_owned(), ..platform("acme", &spec) };
        for object in objects(&build(&old)) {
            // Keys and certificates are random.
            if object["kind"] != "Secret" && object["kind"] != "ConfigMap" {
                prop_assert!(!object.to_string().contains(crate::VERSION), "{object}");
            }
        }
    }
}

#[test]
fn a_job_that_is_to_be_otherwise_has_another_name_since_its_pods_cannot_change() {
    let names =
        |spec: Value| build(&migrating(&spec)).jobs.into_iter().filter_map(|job| job.metadata.name).collect::<Vec<_>>();
    let before = names(json!({"host": "a.example"}));
    assert_eq!(before, names(json!({"host": "b.example"})), "the host is nothing to a database");
    let elsewhere = names(json!({"host": "a.example", "images": {"registry": "mirror.example"}}));
    assert!(before.iter().all(|name| !elsewhere.contains(name)), "{before:?} {elsewhere:?}");
}

#[test]
fn in_hibernation_all_is_there_but_pods_and_comes_back_in_the_same_sizes() {
    let spec =
        json!({"host": "a.example", "mongodb": {"members": 3}, "redis": {"replicas": 3}, "gateway": {"replicas": 2}});
    let awake = platform("acme", &spec);
    let sleeping = |hibernation| Platform { hibernation, ..awake.clone() };
    let closing = build(&sleeping(Hibernation::Closing));
    let asleep = build(&sleeping(Hibernation::Asleep));
    let replicas = |resources: &Resources<Prepared>| -> (Vec<i32>, Vec<i32>) {
        let sets = resources.stateful_sets.iter().filter_map(|set| set.spec.as_ref()?.replicas);
        let deployments = resources.deployments.iter().filter_map(|deployment| deployment.spec.as_ref()?.replicas);
        (sets.collect(), deployments.collect())
    };
    assert_eq!(replicas(&closing), (vec![3, 3, 1, 1], vec![0; 7]));
    assert_eq!(replicas(&asleep), (vec![0; 4], vec![0; 7]));
    assert!(asleep.disruption_budgets.is_empty(), "nobody is there to be protected");
    assert_eq!(asleep.stateful_sets[0].metadata.annotations.as_ref().unwrap()[workload::AWAKE], "3");
    // What holds data and what opens it stays, so that pods that are back find all of it as it was.
    let before = build(&awake);
    assert_eq!((&asleep.secrets, &asleep.config_maps), (&before.secrets, &before.config_maps));
    assert_eq!((&asleep.services, &asleep.network_policies), (&before.services, &before.network_policies));
    let templates_of =
        |resources| templates(resources).into_iter().map(|(_, template, _)| template).collect::<Vec<_>>();
    assert_eq!(templates_of(&asleep), templates_of(&before));
}

#[test]
fn a_component_of_several_pods_loses_one_at_a_time_and_one_pod_alone_has_no_budget() {
    let spec = json!({
        "host": "a.example",
        "mongodb": {"members": 3},
        "gateway": {"replicas": 2},
        "chat": {"replicas": 2},
        "media": {"autoscaling": {"maxReplicas": 4}},
        "web": {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}},
    });
    let budgets = build(&platform("acme", &spec)).disruption_budgets;
    let names: Vec<_> = budgets.iter().filter_map(|budget| budget.metadata.name.as_deref()).collect();
    assert_eq!(names, ["acme-mongodb", "acme-gateway", "acme-chat", "acme-web"]);
    assert!(budgets.iter().all(|budget| json!(budget)["spec"]["maxUnavailable"] == 1));
}

#[test]
fn a_registry_is_put_before_every_image() {
    let resources =
        build(&platform("acme", &json!({"host": "a.example", "images": {"registry": "r.example:5000/m/"}})));
    let images: BTreeSet<String> = templates(&resources)
        .iter()
        .flat_map(|(_, template, _)| containers(template))
        .filter_map(|(container, _)| container.image)
        .collect();
    assert!(images.iter().all(|image| image.starts_with("r.example:5000/m/")), "{images:?}");
    assert!(images.contains(&format!("r.example:5000/m/chatplatform/auth:{}", crate::VERSION)), "{images:?}");
    assert!(images.contains("r.example:5000/m/library/mongo:6.0.5"), "{images:?}");
}

#[test]
fn a_secret_that_services_read_again_does_not_roll_their_pods() {
    let template = |platform: &Platform| {
        let deployments = build(platform).deployments;
        deployments
            .iter()
            .find(|deployment| deployment.metadata.name.as_deref() == Some("acme-auth"))
            .unwrap()
            .spec
            .clone()
            .unwrap()
            .template
    };
    let spec = json!({"host": "a.example"});
    // Two platforms with nothing secret in common.
    assert_eq!(template(&platform("acme", &spec)), template(&platform("acme", &spec)));
}

#[test]
fn a_change_of_what_is_read_at_start_alone_rolls_the_pods() {
    let digest = |spec: &Value| {
        let sets = build(&platform("acme", spec)).stateful_sets;
        let template = sets[0].spec.clone().unwrap().template;
        template.metadata.unwrap().annotations.unwrap()[workload::CONFIG_DIGEST].clone()
    };
    // Key files are random, so that two platforms differ.
    assert_ne!(digest(&json!({"host": "a.example"})), digest(&json!({"host": "a.example"})));
}

#[test]
fn another_certificate_does_not_roll_the_edge() {
    let template = |spec: Value| {
        let deployments = build(&platform("acme", &spec)).deployments;
        deployments
            .iter()
            .find(|deployment| deployment.metadata.name.as_deref() == Some("acme-edge"))
            .unwrap()
            .spec
            .clone()
            .unwrap()
            .template
    };
    let own = template(json!({"host": "a.example"}));
    // Two of the operator's own, one of the user's, and one of cert-manager's.
    assert_eq!(own, template(json!({"host": "a.example"})));
    assert_eq!(own, template(json!({"host": "a.example", "tls": {"secretName": "own-certificate"}})));
    assert_eq!(own, template(json!({"host": "a.example", "tls": {"issuerRef": {"name": "a"}}})));
}

#[test]
fn no_way_in_leads_to_an_edge_pod_of_before_a_switch_between_people_and_a_controller() {
    let gateway = json!({"type": "Gateway", "parentRefs": [{"name": "public"}]});
    let direct = ["ClusterIP", "NodePort", "LoadBalancer"].map(|type_| json!({"type": type_}));
    for direct in &direct {
        for behind in [json!({"type": "Ingress"}), gateway.clone()] {
            for (before, after) in [(direct, &behind), (&behind, direct)] {
                let (before, after) = (edge_of(before), edge_of(after));
                for port in &after.service {
                    // By https all of them do the same.
                    let is_for_all = port.target == "https";
                    assert_eq!(before.pods.contains(&port.target), is_for_all, "{} leads there", port.target);
                    let number_is_new = before.service.iter().all(|other| other.number != port.number);
                    assert_eq!(number_is_new, !is_for_all, "a controller may still know {}", port.number);
                }
                assert!(after.service.iter().all(|port| after.pods.contains(&port.target)));
            }
        }
    }
}

struct EdgeOf {
    service: Vec<WayIn>,
    /// Names of ports.
    pods: BTreeSet<String>,
}

struct WayIn {
    number: i32,
    target: String,
}

fn edge_of(exposure: &Value) -> EdgeOf {
    let resources = build(&platform("acme", &json!({"host": "a.example", "exposure": exposure})));
    let is_edge = |metadata: &ObjectMeta| metadata.name.as_deref() == Some("acme-edge");
    let service = resources.services.iter().find(|service| is_edge(&service.metadata)).unwrap();
    let edge = resources.deployments.iter().find(|deployment| is_edge(&deployment.metadata)).unwrap();
    let ports =
        containers(&edge.spec.as_ref().unwrap().template).into_iter().filter_map(|(container, _)| container.ports);
    let ways = json!(service.spec)["ports"].as_array().unwrap().clone();
    let way = |port: &Value| WayIn {
        number: i32::try_from(port["port"].as_i64().unwrap()).unwrap(),
        target: port["targetPort"].as_str().unwrap().to_owned(),
    };
    EdgeOf { service: ways.iter().map(way).collect(), pods: ports.flatten().filter_map(|port| port.name).collect() }
}

#[test]
fn an_ingress_shows_the_certificate_of_the_edge_and_leads_to_its_plain_port() {
    let spec = json!({
        "host": "a.example",
        "exposure": {"type": "Ingress", "className": "traefik", "annotations": {"a.example/b": "c"}},
    });
    let resources = build(&platform("acme", &spec));
    let ingress = json!(resources.ingresses[0]);
    assert_eq!(ingress["apiVersion"], "networking.k8s.io/v1");
    assert_eq!(ingress["spec"]["ingressClassName"], "traefik");
    assert_eq!(ingress["spec"]["tls"], json!([{"hosts": ["a.example"], "secretName": "acme-edge-tls"}]));
    assert_eq!(ingress["metadata"]["annotations"]["a.example/b"], "c");
    let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    let edge = resources
        .services
        .iter()
        .find(|service| Some(backend["name"].as_str().unwrap()) == service.metadata.name.as_deref())
        .unwrap();
    let http = edge
        .spec
        .as_ref()
        .unwrap()
        .ports
        .as_ref()
        .unwrap()
        .iter()
        .find(|port| backend["port"]["number"] == port.port)
        .unwrap();
    assert_eq!(http.name.as_deref(), Some("controller"));
    assert_eq!(edge.metadata.annotations, None, "they are the Ingress's");
    assert_eq!(json!(edge.spec)["type"], "ClusterIP");
    assert!(resources.http_routes.is_empty() && resources.certificates.is_empty());
}

#[test]
fn a_route_names_its_gateways_and_leads_to_a_port_that_knows_websockets() {
    let parents =
        json!([{"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443}, {"name": "b"}]);
    let spec = json!({"host": "a.example", "exposure": {"type": "Gateway", "parentRefs": parents}});
    let resources = build(&platform("acme", &spec));
    let route = json!(resources.http_routes[0]);
    assert_eq!(route["apiVersion"], "gateway.networking.k8s.io/v1");
    assert_eq!(route["kind"], "HTTPRoute");
    assert_eq!(route["spec"]["parentRefs"], parents);
    assert_eq!(route["spec"]["hostnames"], json!(["a.example"]));
    assert_eq!(route["spec"]["rules"][0]["backendRefs"], json!([{"name": "acme-edge", "port": 8080}]));
    let edge = resources.services.iter().find(|service| service.metadata.name.as_deref() == Some("acme-edge")).unwrap();
    assert_eq!(json!(edge.spec)["ports"][1]["appProtocol"], "kubernetes.io/ws");
    assert!(resources.ingresses.is_empty());
}

#[test]
fn cert_manager_is_asked_for_a_certificate_of_the_host() {
    let spec = |issuer: Value| json!({"host": "a.example", "tls": {"issuerRef": issuer}});
    let of = |issuer| json!(build(&platform("acme", &spec(issuer))).certificates[0]);
    let certificate = of(json!({"name": "letsencrypt"}));
    assert_eq!(certificate["apiVersion"], "cert-manager.io/v1");
    assert_eq!(certificate["spec"]["secretName"], "acme-edge-tls-issued");
    assert_eq!(certificate["spec"]["dnsNames"], json!(["a.example"]));
    let usual = json!({"name": "letsencrypt", "kind": "Issuer", "group": "cert-manager.io"});
    assert_eq!(certificate["spec"]["issuerRef"], usual);
    let other = json!({"name": "pca", "kind": "AWSPCAClusterIssuer", "group": "awspca.cert-manager.io"});
    assert_eq!(of(other.clone())["spec"]["issuerRef"], other);
}

#[test]
fn the_gateway_knows_each_pod_behind_it_by_a_name_that_leads_to_those_that_are_ready() {
    let resources = build(&platform("acme", &json!({"host": "a.example"})));
    let gateway =
        resources.deployments.iter().find(|one| one.metadata.name.as_deref() == Some("acme-gateway")).unwrap();
    let pod = gateway.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let variables = pod.containers[0].env.as_ref().unwrap();
    for upstream in ["AUTH", "CHAT", "MEDIA", "NOTIFICATION"] {
        let host = |section: &str| {
            let name = format!("CHATPLATFORM_{section}__{upstream}");
            let url = variables.iter().find(|variable| variable.name == name).unwrap().value.clone().unwrap();
            url.strip_prefix("http://").unwrap().strip_suffix(":8080").unwrap().to_owned()
        };
        let service = |name: &str| {
            let service = resources.services.iter().find(|one| one.metadata.name.as_deref() == Some(name));
            service.unwrap().spec.clone().unwrap()
        };
        let (headless, own) = (service(&host("ENDPOINTS")), service(&host("UPSTREAMS")));
        assert_eq!((headless.cluster_ip.as_deref(), own.cluster_ip), (Some("None"), None));
        assert_ne!(headless.publish_not_ready_addresses, Some(true));
        assert_eq!((&headless.selector, headless.ports.map(|ports| ports[0].port)), (&own.selector, Some(8080)));
    }
}
