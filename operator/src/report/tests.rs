#![allow(clippy::unwrap_used)]

use k8s_openapi::api::apps::v1::{DeploymentStatus, StatefulSetStatus};
use k8s_openapi::api::core::v1::{Pod, Service, ServiceSpec};
use kube::api::ObjectMeta;
use serde_json::json;

use super::*;
use crate::build;
use crate::proven::Standing;
use crate::provisioner::{Agreement, Refusal};
use crate::validate::{Hibernation, TlsSource, validate};

const EARLIER: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2026-01-01T01:00:00Z";

/// A platform of which everything is there and ready, to be broken by a test.
struct Cluster {
    document: ChatPlatform,
    platform: Platform,
    applied: Resources<Applied>,
    observed: Observed,
    provisioned: Provisioned,
}

impl Cluster {
    fn ready() -> Self {
        Self::of(&json!({"host": "chat.acme.example"}))
    }

    fn of(spec: &serde_json::Value) -> Self {
        let document: ChatPlatform = serde_json::from_value(json!({
            "apiVersion": "chatplatform.dev/v1alpha1",
            "kind": "ChatPlatform",
            "metadata": {"name": "acme", "namespace": "team", "uid": "u-1", "generation": 3},
            "spec": spec,
        }))
        .unwrap();
        let service = |name: &str| Service {
            metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
            spec: Some(ServiceSpec { cluster_ip: Some("10.0.0.1".into()), ..ServiceSpec::default() }),
            status: None,
        };
        let observed = Observed { services: vec![service("acme-gateway"), service("acme-web")], ..Observed::default() };
        let platform = validate(&document, &observed, &mut rand::rng(), EARLIER.parse().unwrap()).unwrap();
        let Resources {
            secrets,
            config_maps,
            services,
            mut stateful_sets,
            jobs,
            mut deployments,
            autoscalers,
            disruption_budgets,
            network_policies,
            certificates,
            ingresses,
            http_routes,
            pod_monitors,
            cron_jobs,
            state: _,
        } = build::build(&platform);
        for set in &mut stateful_sets {
            set.status = Some(StatefulSetStatus {
                replicas: 1,
                ready_replicas: Some(1),
                available_replicas: Some(1),
                updated_replicas: Some(1),
                ..StatefulSetStatus::default()
            });
        }
        for deployment in &mut deployments {
            deployment.status = Some(DeploymentStatus {
                replicas: Some(1),
                ready_replicas: Some(1),
                available_replicas: Some(1),
                updated_replicas: Some(1),
                ..DeploymentStatus::default()
            });
        }
        let agrees = || Standing::Agrees(Agreement { ready: true, message: "agrees".into(), ..Agreement::default() });
        let provisioned = Component::DATA
            .into_iter()
            .fold(Provisioned::default(), |provisioned, component| provisioned.with(component, agrees()));
        Self {
            document,
            platform,
            applied: Resources {
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
                cron_jobs,
                state: std::marker::PhantomData,
            },
            observed,
            provisioned,
        }
    }

    fn status(&self, before: Option<&ChatPlatformStatus>, now: &str) -> ChatPlatformStatus {
        let Self { document, platform, applied, observed, provisioned } = self;
        let found = Found { platform, applied, observed, provisioned, roll: None };
        status(document, before, Outcome::Done(&found), now.parse().unwrap())
    }

    fn lose_pod_of(&mut self, name: &str) {
        let deployment = self.applied.deployments.iter_mut().find(|deployment| deployment.name_any() == name).unwrap();
        deployment.status = None;
    }
}

fn condition<'a>(status: &'a ChatPlatformStatus, type_: &str) -> &'a Condition {
    status.conditions.iter().find(|condition| condition.type_ == type_).unwrap()
}

fn is(status: &ChatPlatformStatus, type_: &str) -> bool {
    condition(status, type_).status == "True"
}

#[test]
fn a_platform_of_which_all_is_ready_is_ready() {
    let status = Cluster::ready().status(None, EARLIER);
    assert_eq!(status.phase.as_deref(), Some("Ready"));
    assert_eq!(status.ready.as_deref(), Some("11/11"));
    assert_eq!(status.version.as_deref(), Some(crate::VERSION));
    assert_eq!(status.url.as_deref(), Some("https://chat.acme.example"));
    assert_eq!(status.observed_generation, Some(3));
    for type_ in [
        "Ready",
        "SpecValid",
        "MongoDBReady",
        "RedisReady",
        "RabbitMQReady",
        "ObjectStorageReady",
        "ServicesReady",
        "EdgeReady",
        "SecretsCurrent",
    ] {
        assert!(is(&status, type_), "{type_}");
    }
    for type_ in ["Reconciling", "Stalled", "Paused"] {
        assert!(!is(&status, type_), "{type_}");
    }
    let mongodb = &status.components[0];
    assert_eq!(
        (mongodb.name.as_str(), mongodb.ready, mongodb.desired, mongodb.version.as_deref()),
        ("mongodb", 1, 1, Some("6.0.5"))
    );
}

#[test]
fn every_condition_has_a_reason_for_machines_and_a_message_for_people() {
    let mut broken = Cluster::ready();
    broken.lose_pod_of("acme-auth");
    for status in [Cluster::ready().status(None, EARLIER), broken.status(None, EARLIER)] {
        for condition in &status.conditions {
            assert!(condition.reason.starts_with(|c: char| c.is_ascii_uppercase()), "{condition:?}");
            assert!(condition.reason.chars().all(char::is_alphanumeric), "{condition:?}");
            assert!(!condition.message.is_empty(), "{condition:?}");
        }
    }
}

#[test]
fn the_same_state_again_gives_the_same_status_at_any_time() {
    let cluster = Cluster::ready();
    let before = cluster.status(None, EARLIER);
    assert_eq!(cluster.status(Some(&before), LATER), before);
}

#[test]
fn a_transition_time_changes_with_the_status_and_not_with_the_message() {
    let mut cluster = Cluster::ready();
    let ready = cluster.status(None, EARLIER);
    cluster.lose_pod_of("acme-auth");
    let one = cluster.status(Some(&ready), LATER);
    assert_eq!(condition(&one, "Ready").last_transition_time, LATER);
    assert_eq!(condition(&one, "MongoDBReady").last_transition_time, EARLIER);
    cluster.lose_pod_of("acme-chat");
    let two = cluster.status(Some(&one), "2026-01-01T02:00:00Z");
    assert_ne!(condition(&one, "ServicesReady").message, condition(&two, "ServicesReady").message);
    assert_eq!(condition(&two, "ServicesReady").last_transition_time, LATER);
}

#[test]
fn a_platform_that_was_ready_is_degraded_and_a_new_one_progresses() {
    let mut cluster = Cluster::ready();
    let ready = cluster.status(None, EARLIER);
    cluster.lose_pod_of("acme-auth");
    let degraded = cluster.status(Some(&ready), LATER);
    assert_eq!(degraded.phase.as_deref(), Some("Degraded"));
    assert_eq!(degraded.ready.as_deref(), Some("10/11"));
    assert!(is(&degraded, "Reconciling") && !is(&degraded, "Stalled"));
    assert_eq!(condition(&degraded, "Ready").message, "auth: 0 of 1 pods ready");
    assert_eq!(cluster.status(None, LATER).phase.as_deref(), Some("Progressing"));

    cluster.document.metadata.generation = Some(4);
    assert_eq!(cluster.status(Some(&ready), LATER).phase.as_deref(), Some("Progressing"), "a new spec is progress");
}

#[test]
fn a_server_that_refuses_the_operator_stalls_the_platform_with_its_own_words() {
    let mut cluster = Cluster::ready();
    let refusal = Refusal {
        category: Reason::RabbitMQAccessDenied,
        message: "RabbitMQ refuses user operator".into(),
        is_final: true,
    };
    cluster.provisioned = cluster.provisioned.with(Component::RabbitMq, Standing::Disagrees(refusal));
    let status = cluster.status(None, EARLIER);
    assert!(is(&status, "Stalled") && !is(&status, "Ready") && !is(&status, "Reconciling"));
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(condition(&status, "RabbitMQReady").reason, "RabbitMQAccessDenied");
    assert!(condition(&status, "Ready").message.contains("refuses user operator"));
}

#[test]
fn a_server_that_does_not_answer_yet_is_progress() {
    let mut cluster = Cluster::ready();
    let refusal =
        Refusal { category: Reason::MongoDBTimedOut, message: "MongoDB did not finish".into(), is_final: false };
    cluster.provisioned = cluster.provisioned.with(Component::MongoDb, Standing::Disagrees(refusal));
    let status = cluster.status(None, EARLIER);
    assert!(is(&status, "Reconciling") && !is(&status, "Stalled"));
    assert_eq!(condition(&status, "MongoDBReady").reason, "MongoDBTimedOut");
}

#[test]
fn a_certificate_that_is_waited_for_keeps_the_edge_from_being_ready_and_is_progress() {
    let mut cluster = Cluster::ready();
    let issuer = crate::api::IssuerRef { name: "letsencrypt".into(), ..crate::api::IssuerRef::default() };
    let by_cert_manager =
        |waits: Option<&str>| TlsSource::Issued { issuer: issuer.clone(), waits: waits.map(Into::into) };
    cluster.platform.tls = by_cert_manager(Some("waits for cert-manager"));
    let waiting = cluster.status(None, EARLIER);
    assert!(!is(&waiting, "EdgeReady") && is(&waiting, "Reconciling") && !is(&waiting, "Stalled"));
    assert_eq!(condition(&waiting, "EdgeReady").reason, "CertificateNotReady");
    assert_eq!(condition(&waiting, "Ready").message, "edge: waits for cert-manager");
    cluster.platform.tls = by_cert_manager(None);
    assert!(is(&cluster.status(Some(&waiting), LATER), "Ready"));
}

#[test]
fn an_image_that_cannot_be_pulled_stalls_and_says_what_to_do() {
    let mut cluster = Cluster::ready();
    cluster.lose_pod_of("acme-web");
    cluster.observed.pods = vec![pod(
        "acme-web-1",
        "web",
        &json!([{"name": "nginx", "image": "r/x:1", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]),
    )];
    let status = cluster.status(None, EARLIER);
    assert!(is(&status, "Stalled"));
    assert_eq!(condition(&status, "Stalled").reason, "ImagePullBackOff");
    assert!(condition(&status, "ServicesReady").message.contains("image r/x:1 cannot be pulled: check spec.images"));
}

#[test]
fn a_container_that_keeps_stopping_is_told_with_where_to_look() {
    let mut cluster = Cluster::ready();
    cluster.lose_pod_of("acme-auth");
    cluster.observed.pods = vec![pod(
        "acme-auth-1",
        "auth",
        &json!([{"name": "auth", "image": "i", "imageID": "", "ready": false, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]),
    )];
    let message = condition(&cluster.status(None, EARLIER), "ServicesReady").message.clone();
    assert!(message.contains("`kubectl logs acme-auth-1 -c auth --previous`"), "{message}");
}

#[test]
fn an_invalid_document_stalls_and_leaves_the_state_of_the_parts_as_it_was() {
    let cluster = Cluster::ready();
    let ready = cluster.status(None, EARLIER);
    let outcome = Outcome::Invalid { reason: Reason::InvalidSpec, message: "spec.x: is wrong" };
    let invalid = status(&cluster.document, Some(&ready), outcome, LATER.parse().unwrap());
    assert_eq!(invalid.phase.as_deref(), Some("Invalid"));
    assert!(
        !is(&invalid, "SpecValid") && is(&invalid, "Stalled") && !is(&invalid, "Ready") && is(&invalid, "MongoDBReady")
    );
    assert_eq!(invalid.components, ready.components);
    assert_eq!(invalid.version, ready.version);
}

#[test]
fn a_paused_platform_keeps_its_state_and_says_so() {
    let cluster = Cluster::ready();
    let ready = cluster.status(None, EARLIER);
    let paused = status(&cluster.document, Some(&ready), Outcome::Paused, LATER.parse().unwrap());
    assert_eq!(paused.phase.as_deref(), Some("Paused"));
    assert!(is(&paused, "Paused") && is(&paused, "Ready") && !is(&paused, "Reconciling"));
}

#[test]
fn a_document_that_cannot_be_read_is_told_so_and_nobody_says_that_it_is_not_paused() {
    let cluster = Cluster::ready();
    let ready = cluster.status(None, EARLIER);
    let outcome = Outcome::Unreadable { message: "the document cannot be read" };
    let unreadable = status(&cluster.document, Some(&ready), outcome, LATER.parse().unwrap());
    assert_eq!(unreadable.phase.as_deref(), Some("Invalid"));
    assert!(is(&unreadable, "Stalled") && !is(&unreadable, "SpecValid") && is(&unreadable, "MongoDBReady"));
    assert_eq!(condition(&unreadable, "Paused").status, "Unknown");
}

#[test]
fn a_platform_that_goes_to_sleep_is_reconciling_until_its_last_pod_has_stopped() {
    let mut cluster = Cluster::ready();
    let ready = cluster.status(None, EARLIER);
    cluster.platform.hibernation = Hibernation::Closing;
    cluster.observed.pods = vec![pod("acme-chat-1", "chat", &json!([])), pod("acme-mongodb-0", "mongodb", &json!([]))];
    let closing = cluster.status(Some(&ready), LATER);
    assert_eq!(condition(&closing, "Ready").reason, "Hibernating");
    assert!(is(&closing, "Reconciling") && !is(&closing, "Stalled") && !is(&closing, "Ready"));
    let row = |status: &ChatPlatformStatus, name: &str| {
        status.components.iter().find(|row| row.name == name).unwrap().clone()
    };
    assert_eq!(row(&closing, "chat").message.as_deref(), Some("stops: acme-chat-1"));
    assert_eq!((row(&closing, "mongodb").ready, row(&closing, "mongodb").message), (1, None), "it still serves");

    cluster.platform.hibernation = Hibernation::Asleep;
    cluster.observed.pods.clear();
    for set in &mut cluster.applied.stateful_sets {
        set.spec.as_mut().unwrap().replicas = Some(0);
    }
    for deployment in &mut cluster.applied.deployments {
        deployment.spec.as_mut().unwrap().replicas = Some(0);
    }
    cluster.provisioned = Provisioned::default();
    let asleep = cluster.status(Some(&closing), LATER);
    assert_eq!(asleep.phase.as_deref(), Some("Hibernated"));
    assert_eq!(asleep.ready.as_deref(), Some("0/11"));
    for type_ in ["Ready", "Reconciling", "Stalled"] {
        assert_eq!(
            (condition(&asleep, type_).status.as_str(), condition(&asleep, type_).reason.as_str()),
            ("False", "Hibernated")
        );
    }
    assert_eq!(condition(&asleep, "MongoDBReady").status, "Unknown");
    assert!(asleep.components.iter().all(|row| row.desired == 0 && row.message.is_none()));
    assert_eq!(cluster.status(Some(&asleep), LATER), asleep, "sleep is a steady state");
}

#[test]
fn hibernation_is_told_by_events_that_warn_of_nothing() {
    let mut cluster = Cluster::ready();
    let ready = cluster.status(None, EARLIER);
    cluster.platform.hibernation = Hibernation::Closing;
    let closing = cluster.status(Some(&ready), LATER);
    let told: Vec<_> = changed(Some(&ready), &closing).collect();
    assert_eq!(told.iter().map(|condition| condition.type_.as_str()).collect::<Vec<_>>(), ["Ready", "Reconciling"]);
    assert!(told.iter().all(|condition| matches!(event(condition).type_, EventType::Normal)));

    // Back again: what becomes ready is told, and not that it was not before.
    cluster.platform.hibernation = Hibernation::Awake;
    cluster.lose_pod_of("acme-edge");
    let waking = cluster.status(Some(&closing), LATER);
    let told: Vec<_> = changed(Some(&closing), &waking).map(|condition| condition.type_.as_str()).collect();
    assert!(told.contains(&"MongoDBReady") && !told.contains(&"EdgeReady"), "{told:?}");
}

#[test]
fn a_part_that_is_not_ready_says_why_in_a_word_where_there_is_one() {
    let mut cluster = Cluster::ready();
    cluster.lose_pod_of("acme-auth");
    assert_eq!(condition(&cluster.status(None, EARLIER), "ServicesReady").reason, "PodsNotReady");
    let deployment = cluster.applied.deployments.iter_mut().find(|found| found.name_any() == "acme-auth").unwrap();
    deployment.status = serde_json::from_value(json!({"conditions": [{
        "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": "pods \"acme-auth-1\" is forbidden: exceeded quota: small",
    }]}))
    .unwrap();
    let status = cluster.status(None, EARLIER);
    assert_eq!(condition(&status, "ServicesReady").reason, "QuotaExceeded");
    assert_eq!(condition(&status, "Stalled").reason, "QuotaExceeded");
    assert!(condition(&status, "Ready").message.contains("raise the ResourceQuota of the namespace"));
}

#[test]
fn events_tell_of_transitions_alone() {
    let mut cluster = Cluster::ready();
    let ready = cluster.status(None, EARLIER);
    assert_eq!(changed(Some(&ready), &ready).count(), 0);
    cluster.lose_pod_of("acme-edge");
    let degraded = cluster.status(Some(&ready), LATER);
    let told: Vec<_> = changed(Some(&ready), &degraded).map(|condition| condition.type_.as_str()).collect();
    assert_eq!(told, ["Ready", "Reconciling", "EdgeReady"]);
}

#[test]
fn a_note_is_cut_between_characters() {
    assert_eq!(short("short"), "short");
    let cut = short(&"ü".repeat(900));
    assert!(cut.len() <= 1000 && cut.chars().all(|c| c == 'ü'));
}

fn pod(name: &str, component: &str, containers: &serde_json::Value) -> Pod {
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": component}},
        "status": {"containerStatuses": containers},
    }))
    .unwrap()
}

/// A platform whose web client is scaled, by an autoscaler that says this of itself.
fn scaled(pods: i32, scaling_active: &serde_json::Value) -> Cluster {
    let autoscaling = json!({"minReplicas": 1, "maxReplicas": 5});
    let mut cluster = Cluster::of(&json!({"host": "chat.acme.example", "web": {"autoscaling": autoscaling}}));
    cluster.applied.autoscalers[0].status = json!({"conditions": [scaling_active]});
    let web = cluster.applied.deployments.iter_mut().find(|deployment| deployment.name_any() == "acme-web").unwrap();
    web.spec.as_mut().unwrap().replicas = Some(pods);
    web.status = Some(DeploymentStatus {
        replicas: Some(pods),
        ready_replicas: Some(pods),
        updated_replicas: Some(pods),
        ..DeploymentStatus::default()
    });
    cluster
}

fn row<'a>(status: &'a ChatPlatformStatus, component: &str) -> &'a crate::api::ComponentStatus {
    status.components.iter().find(|row| row.name == component).unwrap()
}

#[test]
fn where_an_autoscaler_decides_as_many_pods_are_wanted_as_it_has_decided() {
    let status = scaled(4, &json!({"type": "ScalingActive", "status": "True"})).status(None, EARLIER);
    let web = row(&status, "web");
    assert_eq!((web.ready, web.desired, &web.message), (4, 4, &None));
}

#[test]
fn an_autoscaler_without_metrics_is_told_of_and_the_platform_is_ready_all_the_same() {
    let blind = json!({"type": "ScalingActive", "status": "False", "message": "no metrics returned"});
    let status = scaled(2, &blind).status(None, EARLIER);
    let message = row(&status, "web").message.clone().unwrap();
    assert!(message.contains("no metrics returned") && message.contains("metrics-server"), "{message}");
    assert!(is(&status, "Ready") && is(&status, "ServicesReady"));
    assert_eq!(status.ready.as_deref(), Some("11/11"));
}

#[test]
fn pods_that_an_autoscaler_adds_are_waited_for_and_the_platform_is_ready_all_the_same() {
    let mut cluster = scaled(2, &json!({"type": "ScalingActive", "status": "True"}));
    let web = cluster.applied.deployments.iter_mut().find(|deployment| deployment.name_any() == "acme-web").unwrap();
    web.spec.as_mut().unwrap().replicas = Some(4);
    let status = cluster.status(None, EARLIER);
    let row = row(&status, "web");
    assert_eq!((row.ready, row.desired, row.message.as_deref()), (2, 4, Some("2 of 4 pods ready")));
    assert!(is(&status, "Ready"));
    assert_eq!(status.ready.as_deref(), Some("11/11"));
}

#[test]
fn an_older_pod_of_a_scaled_component_is_waited_for() {
    let mut cluster = scaled(2, &json!({"type": "ScalingActive", "status": "True"}));
    let web = cluster.applied.deployments.iter_mut().find(|deployment| deployment.name_any() == "acme-web").unwrap();
    web.status.as_mut().unwrap().updated_replicas = Some(1);
    let status = cluster.status(None, EARLIER);
    assert_eq!(row(&status, "web").message.as_deref(), Some("rolls out"));
    assert!(!is(&status, "Ready"));
}

#[test]
fn what_is_in_the_way_is_told_before_what_an_autoscaler_misses() {
    let blind = json!({"type": "ScalingActive", "status": "False", "message": "no metrics returned"});
    let mut cluster = scaled(2, &blind);
    cluster.lose_pod_of("acme-web");
    let status = cluster.status(None, EARLIER);
    assert_eq!(row(&status, "web").message.as_deref(), Some("0 of 2 pods ready"));
    assert!(!is(&status, "Ready") && status.ready.as_deref() == Some("10/11"));
}

#[test]
fn the_scale_subresource_finds_the_chat_pods_and_their_number() {
    let cluster = Cluster::ready();
    let status = cluster.status(None, EARLIER);
    assert_eq!(status.chat_replicas, Some(1));
    let selector = "app.kubernetes.io/instance=acme,app.kubernetes.io/managed-by=chatplatform-operator,app.kubernetes.io/name=chat";
    assert_eq!(status.selector.as_deref(), Some(selector));
    let paused = super::status(&cluster.document, Some(&status), Outcome::Paused, LATER.parse().unwrap());
    assert_eq!((paused.chat_replicas, paused.selector, paused.ready), (Some(1), status.selector, status.ready));
}

mod backup;
mod rotation;
mod upgrade;
