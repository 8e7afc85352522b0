//! The process that provisions, started as the operator starts it.

#![allow(clippy::unwrap_used)]

use operator::build::Component;
use operator::observe::Observed;
use operator::provisioner::Provisioner;
use operator::validate::{Platform, validate};

/// A platform in a cluster that is not there.
fn platform() -> Platform {
    let document = serde_json::from_value(serde_json::json!({
        "apiVersion": "chatplatform.dev/v1alpha1",
        "kind": "ChatPlatform",
        "metadata": {"name": "acme", "namespace": "nowhere", "uid": "u-1"},
        "spec": {"host": "chat.acme.example"},
    }))
    .unwrap();
    validate(&document, &Observed::default(), &mut rand::rng(), jiff::Timestamp::now()).unwrap()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_in_the_words_of_its_own_step() {
    let provisioner = Provisioner::new(env!("CARGO_BIN_EXE_provision"));
    let outcomes = provisioner.run(&platform(), &[Component::Redis, Component::ObjectStorage]).await;
    let categories: Vec<_> = outcomes.iter().map(|outcome| outcome.clone().unwrap_err().category).collect();
    assert_eq!(categories, ["RedisUnreachable", "ObjectStorageUnreachable"]);
    assert!(outcomes[0].clone().unwrap_err().message.contains("acme-redis.nowhere.svc:6379"));
    assert!(!outcomes[0].clone().unwrap_err().is_final);
}

#[tokio::test]
async fn a_process_that_fails_or_talks_nonsense_is_an_answer_for_every_server() {
    for program in ["/bin/false", "/bin/echo", "/nowhere/at/all"] {
        let outcomes = Provisioner::new(program).run(&platform(), &Component::DATA).await;
        assert_eq!(outcomes.len(), 4, "{program}");
        for outcome in outcomes {
            let refusal = outcome.unwrap_err();
            assert_eq!(refusal.category, "ProvisionerFailed", "{program}");
            assert!(!refusal.is_final, "{program}");
        }
    }
}
