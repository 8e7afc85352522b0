//! Documents to try, and the platforms that they ask for.

use super::*;

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

pub(in crate::build) fn spec() -> impl Strategy<Value = Value> {
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
    let search = prop::sample::select(vec![
        None,
        Some(json!({"backend": "MongoDB"})),
        Some(
            json!({"backend": "OpenSearch", "openSearch": {"endpoint": "http://opensearch.search:9200/", "index": "acme"}}),
        ),
        Some(
            json!({"backend": "OpenSearch", "openSearch": {"endpoint": "https://search.example:9200", "credentialsSecretRef": {"name": "search-login"}}}),
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
    (services, servers, storage, (tls, (email, push, search), policy, network, hibernated, (tracing, monitoring)), exposure(), images()).prop_map(
        |(
            services,
            (mongodb, redis, rabbitmq),
            storage,
            (tls, (email, push, search), policy, network, hibernated, (tracing, monitoring)),
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
            for (name, value) in [("tls", tls), ("email", email), ("push", push), ("search", search), ("networkPolicy", network), ("tracing", tracing), ("monitoring", monitoring)] {
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
            users_own("search-login", &["username", "password", "ca.crt"]),
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
