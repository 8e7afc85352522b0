#![allow(clippy::unwrap_used)]

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, Service, ServiceSpec};
use kube::api::ObjectMeta;
use serde_json::json;

use super::*;
use crate::build::labels;

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
        Error::Spec(faults) | Error::Reference(faults) => faults.into_iter().map(|fault| fault.field).collect(),
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
    assert_eq!(platform.mongodb.members.get(), 1);
    assert_eq!(platform.mongodb.storage.size, crate::api::Quantity::new("2Gi"));
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
        "chat": {"replicas": 2},
        "mongodb": {"members": 2, "storage": {"size": "lots"}},
        "rabbitmq": {"replicas": 3},
        "redis": {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}},
        "email": {"host": "", "port": 0, "from": "nobody"},
    });
    assert_eq!(
        faults(&spec, &Observed::default()),
        [
            "spec.host",
            "spec.chat.replicas",
            "spec.rabbitmq.replicas",
            "spec.version",
            "spec.images.registry",
            "spec.exposure.nodePort",
            "spec.exposure.nodePort",
            "spec.gateway.replicas",
            "spec.mongodb.members",
            "spec.mongodb.storage.size",
            "spec.redis.resources.limits.memory",
            "spec.email.host",
            "spec.email.from",
            "spec.email.port",
        ]
    );
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
    let half = Observed { tls: Some(secret("mine", &[("tls.crt", "c")])), ..Observed::default() };
    assert_eq!(
        run(&spec, &half).unwrap_err().to_string(),
        "spec.tls.secretName: the Secret \"mine\" has no key \"tls.key\": add it"
    );
    let whole = Observed { tls: Some(secret("mine", &[("tls.crt", "c"), ("tls.key", "k")])), ..Observed::default() };
    assert!(matches!(run(&spec, &whole).unwrap().tls, TlsSource::Secret { .. }));
}

#[test]
fn the_usual_port_belongs_to_the_kind_of_encryption() {
    for (tls, port) in [("None", 25), ("StartTLS", 587), ("Implicit", 465)] {
        let spec = json!({"email": {"host": "smtp", "from": "chat@acme.example", "tls": tls}});
        assert_eq!(run(&spec, &Observed::default()).unwrap().email.unwrap().port, port);
    }
}

#[test]
fn a_volume_cannot_change_once_it_is_there() {
    let platform = run(&json!({}), &Observed::default()).unwrap();
    let observed = Observed { stateful_sets: crate::build::build(&platform).stateful_sets, ..Observed::default() };
    assert!(
        run(&json!({"mongodb": {"storage": {"size": "2048Mi"}}}), &observed).is_ok(),
        "the same size in another notation"
    );
    assert_eq!(faults(&json!({"mongodb": {"storage": {"size": "4Gi"}}}), &observed), ["spec.mongodb.storage.size"]);
    assert_eq!(
        faults(&json!({"redis": {"storage": {"className": "fast"}}}), &observed),
        ["spec.redis.storage.className"]
    );
}

#[test]
fn the_number_of_members_cannot_change_once_they_are_there() {
    let platform = run(&json!({"mongodb": {"members": 3}}), &Observed::default()).unwrap();
    let observed = Observed { stateful_sets: crate::build::build(&platform).stateful_sets, ..Observed::default() };
    assert!(run(&json!({"mongodb": {"members": 3}}), &observed).is_ok());
    for spec in [json!({"mongodb": {"members": 5}}), json!({"mongodb": {"members": 1}}), json!({})] {
        assert_eq!(faults(&spec, &observed), ["spec.mongodb.members"]);
    }
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
