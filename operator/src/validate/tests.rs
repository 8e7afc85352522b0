#![allow(clippy::unwrap_used)]

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service, ServiceSpec};
use kube::api::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::json;

use super::*;
use crate::build::labels;
use crate::build::properties::{certificate, service_account};

fn document(spec: &serde_json::Value) -> ChatPlatform {
    let mut full = json!({"host": "chat.acme.example"});
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "chatplatform.dev/v1alpha1",
        "kind": "ChatPlatform",
        "metadata": {"name": "acme", "namespace": "team", "uid": "u-1", "generation": 1},
        "spec": full,
    }))
    .unwrap()
}

fn run(spec: &serde_json::Value, observed: &Observed) -> Result<Platform, Error> {
    validate(&document(spec), observed, &mut rand::rng(), Timestamp::now())
}

/// The fields that are at fault.
fn faults(spec: &serde_json::Value, observed: &Observed) -> Vec<String> {
    match run(spec, observed).unwrap_err() {
        Error::Spec(faults) | Error::Reference(faults) | Error::Kind(faults) => {
            faults.into_iter().map(|fault| fault.field).collect()
        }
        Error::Secrets(error) => panic!("{error}"),
    }
}

fn secret(name: &str, data: &[(&str, &str)]) -> Secret {
    Secret {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        data: Some(data.iter().map(|(key, value)| ((*key).into(), ByteString(value.as_bytes().into()))).collect()),
        ..Secret::default()
    }
}

/// A cluster with Secrets of the user's own.
fn having(secrets: &[Secret]) -> Observed {
    let named = secrets.iter().map(|secret| (secret.name_any(), secret.clone())).collect();
    Observed { named, ..Observed::default() }
}

/// A cluster in which a platform with `spec` runs.
fn running(spec: &serde_json::Value) -> Observed {
    let platform = run(spec, &Observed::default()).unwrap();
    Observed { stateful_sets: crate::build::build(&platform).stateful_sets, ..Observed::default() }
}

fn service(name: &str, address: &str) -> Service {
    Service {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        spec: Some(ServiceSpec { cluster_ip: Some(address.into()), ..ServiceSpec::default() }),
        status: None,
    }
}

#[test]
fn a_host_is_all_that_must_be_said() {
    let platform = run(&json!({}), &Observed::default()).unwrap();
    assert_eq!(platform.version, crate::VERSION);
    let mongodb = platform.mongodb.managed().unwrap();
    assert_eq!((mongodb.members.get(), mongodb.pods), (1, 1));
    assert_eq!(mongodb.each.storage.size, crate::api::Quantity::new("2Gi"));
    assert_eq!(platform.gateway.replicas, 1);
    assert_eq!(platform.exposure.type_, crate::api::ExposureType::ClusterIP);
    assert!(matches!(platform.tls, TlsSource::Own));
    assert!(platform.email.is_none());
    assert_eq!(platform.owner.uid, "u-1");
    assert_eq!(platform.owner.controller, Some(true));
}

#[test]
fn every_fault_is_listed_with_its_field() {
    let spec = json!({
        "host": "https://chat.example",
        "version": "99.0.0",
        "images": {"registry": "https://registry.example"},
        "exposure": {"nodePort": 70000},
        "gateway": {"replicas": 0},
        "chat": {"replicas": 21},
        "mongodb": {"members": 2, "storage": {"size": "lots"}},
        "rabbitmq": {"replicas": 2},
        "objectStorage": {"external": {"endpoint": "s3.example.com", "bucket": "My Bucket", "credentialsSecretRef": {"name": "s3"}}},
        "redis": {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}},
        "email": {"host": "", "port": 0, "from": "nobody"},
        "push": {"projectId": "Acme", "endpoint": "fcm.googleapis.com", "credentialsSecretRef": {"name": "Key"}},
        "search": {"openSearch": {"endpoint": "opensearch:9200", "index": "Acme", "credentialsSecretRef": {"name": "Key"}}},
    });
    assert_eq!(
        faults(&spec, &Observed::default()),
        [
            "spec.host",
            "spec.version",
            "spec.images.registry",
            "spec.exposure.nodePort",
            "spec.exposure.nodePort",
            "spec.gateway.replicas",
            "spec.chat.replicas",
            "spec.mongodb.members",
            "spec.mongodb.storage.size",
            "spec.redis.resources.limits.memory",
            "spec.rabbitmq.replicas",
            "spec.objectStorage.external.endpoint",
            "spec.objectStorage.external.bucket",
            "spec.email.host",
            "spec.email.from",
            "spec.email.port",
            "spec.push.projectId",
            "spec.push.credentialsSecretRef.name",
            "spec.push.endpoint",
            "spec.search.openSearch",
            "spec.search.openSearch.endpoint",
            "spec.search.openSearch.credentialsSecretRef.name",
            "spec.search.openSearch.index",
        ]
    );
}

#[test]
fn an_autoscaler_of_chat_stands_beside_the_one_pod_that_every_document_gets_and_decides() {
    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 5});
    for chat in [json!({ "autoscaling": autoscaling }), json!({"replicas": 1, "autoscaling": autoscaling})] {
        let platform = run(&json!({ "chat": chat }), &Observed::default()).unwrap();
        assert_eq!((platform.chat.replicas, platform.chat.autoscaling.map(|a| a.most)), (2, Some(5)));
    }
    for component in ["chat", "web"] {
        let both = json!({component: {"replicas": 3, "autoscaling": autoscaling}});
        assert_eq!(faults(&both, &Observed::default()), [format!("spec.{component}.replicas")]);
    }
}

#[test]
fn a_message_says_the_value_what_is_allowed_and_why() {
    let message = run(&json!({"mongodb": {"members": 4}}), &Observed::default()).unwrap_err().to_string();
    assert_eq!(
        message,
        "spec.mongodb.members: 4 is not possible: it takes 1, 3, 5 or 7, since only an odd number always has a majority"
    );
}

#[test]
fn a_name_too_long_for_the_objects_made_from_it_is_refused() {
    let mut long = document(&json!({}));
    long.metadata.name = Some("a".repeat(33));
    let error = validate(&long, &Observed::default(), &mut rand::rng(), Timestamp::now()).unwrap_err();
    assert!(error.to_string().starts_with("metadata.name: "), "{error}");
}

#[test]
fn amounts_that_are_given_replace_their_defaults_alone() {
    let spec = json!({"auth": {"resources": {"requests": {"memory": "1Gi"}, "limits": {"cpu": 2}}}});
    let resources = run(&spec, &Observed::default()).unwrap().auth.resources;
    let (requests, limits) = (resources.requests.unwrap(), resources.limits.unwrap());
    assert_eq!((requests["cpu"].0.as_str(), requests["memory"].0.as_str()), ("20m", "1Gi"));
    // A limit below the request would be refused by the API server, so that the default one rises with it.
    assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("2", "1Gi"));
}

#[test]
fn a_certificate_that_is_not_there_or_not_whole_is_waited_for() {
    let spec = json!({"tls": {"secretName": "mine"}});
    assert_eq!(faults(&spec, &Observed::default()), ["spec.tls.secretName"]);
    let half = having(&[secret("mine", &[("tls.crt", "c")])]);
    assert_eq!(
        run(&spec, &half).unwrap_err().to_string(),
        "spec.tls.secretName: the Secret \"mine\" has no key \"tls.key\": add it"
    );
    let (_, certificate) = certificate("mine");
    let platform = run(&spec, &having(std::slice::from_ref(&certificate))).unwrap();
    assert_eq!(platform.tls, TlsSource::Secret);
    assert_eq!(shown(&platform), certificate.data.unwrap()["tls.crt"]);
}

/// The certificate that the edge is to show.
fn shown(platform: &Platform) -> ByteString {
    let secrets = crate::build::secrets::build(platform);
    let secret = secrets.into_iter().find(|secret| secret.name_any() == "acme-edge-tls").unwrap();
    secret.data.unwrap()["tls.crt"].clone()
}

#[test]
fn a_certificate_that_does_not_fit_its_key_never_becomes_that_of_the_edge() {
    let spec = json!({"tls": {"secretName": "mine"}});
    let ((_, mut mine), (_, other)) = (certificate("mine"), certificate("other"));
    mine.data.as_mut().unwrap().insert("tls.key".into(), other.data.unwrap()["tls.key"].clone());
    let error = run(&spec, &having(&[mine])).unwrap_err();
    assert_eq!(error.category(), "ReferenceInvalid");
    let message = error.to_string();
    assert!(
        message.starts_with("spec.tls.secretName: the Secret \"mine\", key \"tls.crt\" does not belong"),
        "{message}"
    );
}

#[test]
fn what_the_edge_shows_stays_until_cert_manager_has_issued_another() {
    let spec = json!({"tls": {"issuerRef": {"name": "letsencrypt"}}});
    let waits = |platform: &Platform| match &platform.tls {
        TlsSource::Issued { waits, .. } => waits.clone(),
        other => panic!("{other:?}"),
    };
    // A new platform shows one of the operator's own meanwhile.
    let new = run(&spec, &Observed::default()).unwrap();
    assert!(waits(&new).unwrap().contains("waits for cert-manager"), "{:?}", new.tls);
    assert!(shown(&new).0.starts_with(b"-----BEGIN CERTIFICATE"));

    let (_, mine) = certificate("mine");
    let before = run(&json!({"tls": {"secretName": "mine"}}), &having(&[mine])).unwrap();
    let mut observed = Observed { secrets: crate::build::secrets::build(&before), ..Observed::default() };
    let said = json!({"conditions": [{"type": "Ready", "status": "False", "message": "the issuer is not there"}]});
    let object = DynamicObject::new("acme-edge", &Optional::Certificate.resource()).data(json!({ "status": said }));
    observed.optional = [(Optional::Certificate, Some(vec![object]))].into();
    let waiting = run(&spec, &observed).unwrap();
    assert_eq!(shown(&waiting), shown(&before));
    assert!(waits(&waiting).unwrap().contains("the issuer is not there"));

    let (name, issued) = certificate("acme-edge-tls-issued");
    observed.named.insert(name, issued.clone());
    observed.optional = [(Optional::Certificate, Some(vec![]))].into();
    let done = run(&spec, &observed).unwrap();
    assert_eq!(shown(&done), issued.data.unwrap()["tls.crt"]);
    assert_eq!(waits(&done), None);
}

#[test]
fn a_kind_that_the_cluster_does_not_know_is_told_with_what_to_install() {
    let lacking = |kind| Observed { optional: [(kind, None)].into(), ..Observed::default() };
    let issuer = json!({"tls": {"issuerRef": {"name": "letsencrypt"}}});
    let error = run(&issuer, &lacking(Optional::Certificate)).unwrap_err();
    assert_eq!(error.category(), "KindMissing");
    assert!(error.to_string().starts_with("spec.tls.issuerRef: the cluster knows no Certificate"), "{error}");
    assert!(error.to_string().contains("install cert-manager"), "{error}");
    let gateway = json!({"exposure": {"type": "Gateway", "parentRefs": [{"name": "public"}]}});
    let error = run(&gateway, &lacking(Optional::HttpRoute)).unwrap_err();
    assert!(error.to_string().contains("install the Gateway API"), "{error}");
    // Nobody misses what nobody asks for.
    assert!(run(&json!({}), &lacking(Optional::HttpRoute)).is_ok());
}

#[test]
fn the_usual_port_belongs_to_the_kind_of_encryption() {
    for (tls, port) in [("None", 25), ("StartTLS", 587), ("Implicit", 465)] {
        let spec = json!({"email": {"host": "smtp", "from": "chat@acme.example", "tls": tls}});
        assert_eq!(run(&spec, &Observed::default()).unwrap().email.unwrap().port, port);
    }
}

#[test]
fn push_needs_a_service_account_that_can_log_in() {
    let spec = json!({"push": {"projectId": "acme-chat-1", "credentialsSecretRef": {"name": "push-key"}}});
    let refused = |observed: &Observed| run(&spec, observed).unwrap_err().to_string();
    let (name, secret) = service_account("push-key");
    let with = |secret: Secret| Observed { named: [(name.clone(), secret)].into(), ..Observed::default() };

    assert!(refused(&Observed::default()).contains("there is no Secret \"push-key\""));
    assert!(refused(&with(Secret::default())).contains("no key \"service-account.json\""));
    let mut broken = secret.clone();
    for value in broken.data.iter_mut().flat_map(|data| data.values_mut()) {
        value.0.truncate(40);
    }
    let told = refused(&with(broken));
    assert!(told.contains("spec.push.credentialsSecretRef.name") && told.contains("no JSON with type"), "{told}");

    let push = run(&spec, &with(secret)).unwrap().push.unwrap();
    assert_eq!((push.project.as_str(), push.port, push.endpoint), ("acme-chat-1", 443, None));
}

#[test]
fn opensearch_is_described_where_it_is_used_and_its_log_in_is_looked_for() {
    let spec = |backend: &str| {
        json!({"search": {"backend": backend, "openSearch": {
            "endpoint": "https://search.example/", "credentialsSecretRef": {"name": "search-login"},
        }}})
    };
    let login = |keys: &[&str]| {
        let data = keys.iter().map(|key| ((*key).to_owned(), ByteString(b"x".to_vec()))).collect();
        let named = ("search-login".to_owned(), Secret { data: Some(data), ..Secret::default() });
        Observed { named: [named].into(), ..Observed::default() }
    };
    let refused = |spec: &serde_json::Value, observed: &Observed| run(spec, observed).unwrap_err().to_string();
    assert!(refused(&spec("OpenSearch"), &Observed::default()).contains("there is no Secret \"search-login\""));
    assert!(refused(&spec("OpenSearch"), &login(&["username"])).contains("no key \"password\""));
    let whole = login(&["username", "password"]);
    assert!(refused(&spec("MongoDB"), &whole).contains("write both, or neither"));
    assert!(refused(&json!({"search": {"backend": "OpenSearch"}}), &whole).contains("write both, or neither"));
    assert!(run(&json!({"search": {"backend": "MongoDB"}}), &whole).unwrap().search.is_none());

    let search = run(&spec("OpenSearch"), &whole).unwrap().search.unwrap();
    assert_eq!((search.endpoint.as_str(), search.port), ("https://search.example", 443));
    assert!(search.index.starts_with("chatplatform-"), "{}", search.index);
}

#[test]
fn a_volume_grows_and_neither_shrinks_nor_changes_its_class() {
    let observed = running(&json!({}));
    for size in ["2048Mi", "4Gi"] {
        assert!(run(&json!({"mongodb": {"storage": {"size": size}}}), &observed).is_ok(), "{size}");
    }
    assert_eq!(faults(&json!({"mongodb": {"storage": {"size": "1Gi"}}}), &observed), ["spec.mongodb.storage.size"]);
    assert_eq!(
        faults(&json!({"redis": {"storage": {"className": "fast"}}}), &observed),
        ["spec.redis.storage.className"]
    );
}

#[test]
fn a_pod_of_the_replica_set_stays_until_the_set_does_not_count_on_it() {
    let pods = |spec, observed: &Observed| run(&spec, observed).unwrap().mongodb.managed().unwrap().pods;
    let mut observed = running(&json!({"mongodb": {"members": 5}}));
    let three = || json!({"mongodb": {"members": 3}});
    assert_eq!(pods(three(), &observed), 5, "nobody has asked the set yet");
    observed.mongodb_members = Some(4);
    assert_eq!(pods(three(), &observed), 4);
    observed.mongodb_members = Some(3);
    assert_eq!(pods(three(), &observed), 3);
    assert_eq!(pods(json!({"mongodb": {"members": 7}}), &observed), 7);
}

#[test]
fn servers_that_sleep_count_as_there_and_a_set_that_is_to_be_smaller_wakes_whole_first() {
    let asleep = running(&json!({"hibernated": true, "mongodb": {"members": 3}, "redis": {"replicas": 3}}));
    let sets: Vec<_> = asleep.stateful_sets.iter().filter_map(|set| set.spec.as_ref()?.replicas).collect();
    assert_eq!(sets, [0; 4]);
    assert_eq!(faults(&json!({"redis": {"replicas": 1}}), &asleep), ["spec.redis.replicas"]);
    let smaller = run(&json!({"mongodb": {"members": 1}, "redis": {"replicas": 3}}), &asleep).unwrap();
    // One of three would wait for a majority for ever.
    assert_eq!(smaller.mongodb.managed().unwrap().pods, 3);
    let larger = run(&json!({"mongodb": {"members": 5}, "redis": {"replicas": 3}}), &asleep).unwrap();
    assert_eq!(larger.mongodb.managed().unwrap().pods, 5);
}

#[test]
fn mongodb_stays_at_its_version_in_hibernation_and_may_change_with_the_end_of_it() {
    let asleep = running(&json!({"hibernated": true}));
    let change = |hibernated: bool| json!({"hibernated": hibernated, "mongodb": {"version": "6.0.9"}});
    assert_eq!(faults(&change(true), &asleep), ["spec.mongodb.version"]);
    assert_eq!(faults(&change(true), &running(&json!({}))), ["spec.mongodb.version"], "together with its beginning");
    assert!(run(&change(false), &asleep).is_ok());
    assert!(run(&change(true), &Observed::default()).is_ok(), "a new platform may sleep at any version");
}

#[test]
fn redis_and_rabbitmq_grow_and_do_not_shrink() {
    let observed = running(&json!({"redis": {"replicas": 3}, "rabbitmq": {"replicas": 3}}));
    assert!(run(&json!({"redis": {"replicas": 3}, "rabbitmq": {"replicas": 5}}), &observed).is_ok());
    assert_eq!(
        faults(&json!({"redis": {"replicas": 1}}), &observed),
        ["spec.redis.replicas", "spec.rabbitmq.replicas"]
    );
}

#[test]
fn a_server_that_somebody_else_runs_is_known_by_its_secret_alone() {
    let spec = json!({"mongodb": {"external": {"connectionSecretRef": {"name": "theirs"}}}});
    let field = "spec.mongodb.external.connectionSecretRef.name";
    assert_eq!(faults(&spec, &Observed::default()), [field]);
    assert_eq!(faults(&spec, &having(&[secret("theirs", &[("url", "x")])])), [field]);
    let observed = having(&[secret("theirs", &[("uri", "mongodb://db.example")])]);
    let platform = run(&spec, &observed).unwrap();
    assert!(platform.is_external(Component::MongoDb) && !platform.is_external(Component::Redis));
    let sets = crate::build::build(&platform).stateful_sets;
    assert!(!sets.iter().any(|set| set.name_any() == "acme-mongodb"));
}

#[test]
fn external_excludes_what_describes_a_server_of_ones_own_and_data_are_never_left_behind() {
    let external = json!({"connectionSecretRef": {"name": "theirs"}});
    let spec = json!({
        "mongodb": {"members": 3, "external": external},
        "redis": {"replicas": 3, "external": external},
        "rabbitmq": {"storage": {"size": "1Gi"}, "external": external},
    });
    assert_eq!(
        faults(&spec, &Observed::default()),
        ["spec.mongodb.external", "spec.redis.external", "spec.rabbitmq.external"]
    );
    let spec = json!({"mongodb": {"external": external}});
    assert_eq!(faults(&spec, &running(&json!({}))), ["spec.mongodb.external"]);
}

#[test]
fn a_version_of_mongodb_that_cannot_be_reached_from_the_one_that_runs_is_refused() {
    let observed = running(&json!({}));
    assert!(run(&json!({"mongodb": {"version": "7.0.12"}}), &observed).is_ok());
    assert_eq!(faults(&json!({"mongodb": {"version": "8.0.1"}}), &observed), ["spec.mongodb.version"]);
    assert_eq!(faults(&json!({"mongodb": {"version": "5.0.1"}}), &observed), ["spec.mongodb.version"]);
}

/// A pod of the replica set, ready or not, of an image with this tag.
fn member(ordinal: i32, tag: &str, ready: bool) -> Pod {
    let pod = json!({
        "metadata": {
            "name": format!("acme-mongodb-{ordinal}"),
            "labels": {"app.kubernetes.io/name": "mongodb", "app.kubernetes.io/instance": "acme"},
        },
        "spec": {"containers": [{"name": "mongodb", "image": format!("mongo:{tag}")}]},
        "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    });
    serde_json::from_value(pod).unwrap()
}

#[test]
fn what_an_upgrade_of_mongodb_may_lead_to_goes_by_the_members_that_serve_and_not_by_what_was_asked_for() {
    // 7.0.0 was asked for, and the first member that was to be it does not come up.
    let mut observed = running(&json!({"mongodb": {"version": "7.0.0"}}));
    observed.pods = vec![member(0, "6.0.5", true), member(1, "6.0.5", true), member(2, "7.0.0", false)];
    let allowed = |version: &str, observed: &Observed| run(&json!({"mongodb": {"version": version}}), observed).is_ok();
    assert!(!allowed("8.0.1", &observed));
    assert!(allowed("7.0.12", &observed) && allowed("6.0.5", &observed), "forward, or back");
    observed.pods[2] = member(2, "7.0.0", true);
    assert!(!allowed("8.0.1", &observed) && !allowed("6.0.5", &observed), "members of two series");
    for pod in &mut observed.pods {
        *pod = member(0, "7.0.0", true);
    }
    assert!(allowed("8.0.1", &observed));
}

#[test]
fn that_a_replica_set_has_had_data_is_written_on_its_secret_and_read_from_there() {
    let is_established = |platform: &Platform| platform.mongodb.managed().unwrap().established;
    let mut observed = Observed::default();
    let new = run(&json!({}), &observed).unwrap();
    assert!(!is_established(&new));
    observed.secrets = crate::build::secrets::build(&new);
    assert!(!is_established(&run(&json!({}), &observed).unwrap()), "nobody has seen it serve");

    observed.mongodb_serves = true;
    let serving = run(&json!({}), &observed).unwrap();
    assert!(is_established(&serving));

    // Another process, that has never asked the set.
    let observed = Observed { secrets: crate::build::secrets::build(&serving), ..Observed::default() };
    assert!(is_established(&run(&json!({}), &observed).unwrap()));
}

#[test]
fn message_keys_that_are_gone_while_data_is_there_are_not_replaced() {
    let claim = PersistentVolumeClaim {
        metadata: ObjectMeta {
            labels: Some([(labels::NAME.into(), "mongodb".into())].into()),
            ..ObjectMeta::default()
        },
        ..PersistentVolumeClaim::default()
    };
    let observed = Observed { claims: vec![claim], ..Observed::default() };
    assert_eq!(run(&json!({}), &observed).unwrap_err().category(), "SecretLost");
}

#[test]
fn the_edge_keeps_its_addresses_while_a_service_is_missing() {
    let services = vec![service("acme-gateway", "10.96.0.7"), service("acme-web", "10.96.0.9")];
    let observed = Observed { services, ..Observed::default() };
    let platform = run(&json!({}), &observed).unwrap();
    assert_eq!(platform.upstreams.unwrap().to_string(), "gateway=10.96.0.7,web=10.96.0.9");

    let config_maps = crate::build::build(&platform).config_maps;
    let without = Observed { config_maps, services: vec![service("acme-web", "10.96.0.9")], ..Observed::default() };
    assert_eq!(run(&json!({}), &without).unwrap().upstreams, platform.upstreams);
    assert_eq!(run(&json!({}), &Observed::default()).unwrap().upstreams, None);
}

/// What is there of a platform of an older release, of which all is ready, and whose release is written in its status.
fn serving(release: &str) -> (Observed, serde_json::Value) {
    let mut before = run(&json!({"version": release}), &Observed::default()).unwrap();
    before.upstreams = "gateway=10.0.0.1,web=10.0.0.2".parse().ok();
    let resources = crate::build::build(&before);
    let mut observed = Observed {
        stateful_sets: resources.stateful_sets,
        deployments: resources.deployments,
        mongodb_serves: true,
        ..Observed::default()
    };
    let ready = json!({"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1});
    for set in &mut observed.stateful_sets {
        set.status = serde_json::from_value(ready.clone()).unwrap();
    }
    for deployment in &mut observed.deployments {
        deployment.status = serde_json::from_value(ready.clone()).unwrap();
    }
    (observed, json!({ "version": release }))
}

/// A platform with this status.
fn run_with(spec: &serde_json::Value, status: &serde_json::Value, observed: &Observed) -> Platform {
    let mut document = document(spec);
    document.status = serde_json::from_value(status.clone()).unwrap();
    validate(&document, observed, &mut rand::rng(), Timestamp::now()).unwrap()
}

fn step(platform: &Platform) -> Option<&Step> {
    platform.upgrade.as_ref().map(|upgrade| &upgrade.step)
}

#[test]
fn a_platform_that_names_no_release_keeps_the_one_it_has_whatever_operator_looks_after_it() {
    let (observed, status) = serving("0.0.1");
    let kept = run_with(&json!({}), &status, &observed);
    assert_eq!((kept.version.as_str(), &kept.upgrade), ("0.0.1", &None));
    // One that has not served yet, or whose status was lost.
    let begun = run_with(&json!({}), &json!({}), &observed);
    assert_eq!((begun.version.as_str(), &begun.upgrade), ("0.0.1", &None));
    let new = run_with(&json!({}), &json!({}), &Observed::default());
    assert_eq!((new.version.as_str(), &new.upgrade), (crate::VERSION, &None));
}

#[test]
fn an_operator_that_is_older_than_what_serves_touches_nothing() {
    let mut document = document(&json!({}));
    document.status = serde_json::from_value(json!({"version": "99.0.0"})).unwrap();
    let error = validate(&document, &Observed::default(), &mut rand::rng(), Timestamp::now()).unwrap_err();
    assert!(error.to_string().contains("99.0.0 is newer than this operator"), "{error}");
}

#[test]
fn an_upgrade_begins_once_everything_is_ready_and_says_what_it_waits_for() {
    let (observed, status) = serving("0.0.9");
    let wanted = json!({"version": crate::VERSION});
    let begins = |observed: &Observed| run_with(&wanted, &status, observed);
    assert_eq!(step(&begins(&observed)), Some(&Step::Migrate));
    assert_eq!(begins(&observed).release(Component::Auth), "0.0.9");

    let waits_for = |observed: &Observed| match step(&begins(observed)) {
        Some(Step::Check(ailing)) => ailing.join("; "),
        other => panic!("{other:?}"),
    };
    let unasked = Observed { mongodb_serves: false, ..observed.clone() };
    assert!(waits_for(&unasked).starts_with("mongodb: takes no writes"));
    let mut rolling = observed.clone();
    let web = rolling.deployments.iter_mut().find(|deployment| deployment.name_any() == "acme-web").unwrap();
    web.status.as_mut().unwrap().replicas = Some(2);
    assert!(waits_for(&rolling).starts_with("web: "));
    let mut without = observed.clone();
    without.stateful_sets[1].status = None;
    assert!(waits_for(&without).starts_with("redis: "));
}

#[test]
fn a_component_that_serves_nobody_holds_no_upgrade_up_as_that_may_be_its_cure() {
    let (mut observed, status) = serving("0.0.9");
    let web = observed.deployments.iter_mut().find(|deployment| deployment.name_any() == "acme-web").unwrap();
    web.status.as_mut().unwrap().available_replicas = None;
    let platform = run_with(&json!({"version": crate::VERSION}), &status, &observed);
    assert_eq!(step(&platform), Some(&Step::Migrate));
}

#[test]
fn what_an_upgrade_has_stopped_at_does_not_hold_up_the_release_that_corrects_it() {
    let (mut observed, status) = serving("0.0.9");
    let gateway = observed.deployments.iter_mut().find(|deployment| deployment.name_any() == "acme-gateway").unwrap();
    // Beside the pod that serves there is one that cannot start.
    gateway.status.as_mut().unwrap().replicas = Some(2);
    let wanted = json!({"version": crate::VERSION});
    assert!(matches!(step(&run_with(&wanted, &status, &observed)), Some(Step::Check(_))), "of the release that serves");
    let gateway = observed.deployments.iter_mut().find(|deployment| deployment.name_any() == "acme-gateway").unwrap();
    gateway.annotations_mut().insert(labels::RELEASE.into(), "0.0.10".into());
    assert_eq!(step(&run_with(&wanted, &status, &observed)), Some(&Step::Migrate), "of one that never served");
}

#[test]
fn an_upgrade_in_hibernation_waits_until_the_platform_wakes() {
    let (observed, status) = serving("0.0.9");
    let platform = run_with(&json!({"version": crate::VERSION, "hibernated": true}), &status, &observed);
    assert_eq!(step(&platform), Some(&Step::Check(vec!["spec.hibernated is true".to_owned()])));
    assert_eq!(platform.release(Component::Gateway), "0.0.9");
}

#[test]
fn jobs_of_the_new_release_that_have_succeeded_let_the_first_wave_begin() {
    let (mut observed, status) = serving("0.0.9");
    let wanted = json!({"version": crate::VERSION});
    observed.jobs = crate::build::build(&run_with(&wanted, &status, &observed)).jobs;
    assert_eq!(step(&run_with(&wanted, &status, &observed)), Some(&Step::Migrate));
    for job in &mut observed.jobs {
        job.status = serde_json::from_value(json!({"conditions": [{"type": "Complete", "status": "True"}]})).unwrap();
    }
    let platform = run_with(&wanted, &status, &observed);
    assert_eq!(step(&platform), Some(&Step::Roll(0)));
    assert_eq!(platform.release(Component::Notification), crate::VERSION);
    assert_eq!(platform.release(Component::Chat), "0.0.9");
    // What was migrated for another release is no matter.
    for job in &mut observed.jobs {
        job.labels_mut().insert(labels::VERSION.into(), "0.0.8".into());
    }
    assert_eq!(step(&run_with(&wanted, &status, &observed)), Some(&Step::Migrate));
}

#[test]
fn the_release_that_serves_may_be_returned_to_at_any_time_and_all_at_once() {
    let (mut observed, status) = serving("0.0.9");
    let there = observed.deployments.iter_mut().find(|deployment| deployment.name_any() == "acme-notification");
    there.unwrap().annotations_mut().insert(labels::RELEASE.into(), crate::VERSION.into());
    let rolling = run_with(&json!({"version": crate::VERSION}), &status, &observed);
    assert_eq!(step(&rolling), Some(&Step::Roll(1)));
    for back in [json!({"version": "0.0.9"}), json!({})] {
        let platform = run_with(&back, &status, &observed);
        assert_eq!(platform.upgrade, None);
        assert!(Component::ALL.iter().all(|component| platform.release(*component) == "0.0.9"));
    }
}
