#![allow(clippy::unwrap_used)]

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;

use super::*;

const OWN: [Component; 3] = [Component::MongoDb, Component::Redis, Component::RabbitMq];

fn names() -> Names {
    Names { platform: "acme".into(), namespace: "team".into(), ..Names::default() }
}

fn secret(name: &str, data: &[(&str, &str)]) -> Secret {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(data.collect()),
        ..Secret::default()
    }
}

fn complete(secrets: &[Secret], own: &[Component]) -> Result<Credentials, Error> {
    Credentials::complete(&Existing::new(secrets.iter().cloned()), &names(), own, &mut rand::rng())
}

fn kept(ring: &Credentials) -> Secret {
    secret("acme-credentials", &[(KEY, ring.text())])
}

fn users(logins: &[Login]) -> Vec<&str> {
    logins.iter().map(|login| login.user.as_str()).collect()
}

#[test]
fn a_platform_of_before_there_were_generations_keeps_its_users_and_passwords_as_the_first() {
    let uri = |scheme: &str, user: &str| format!("{scheme}://{user}:{}@host/x", "p".repeat(16) + user);
    let auth = secret(
        "acme-auth",
        &[
            ("mongodb-uri", &uri("mongodb", "auth")),
            ("redis-url", &uri("redis", "auth")),
            ("rabbitmq-uri", &uri("amqp", "auth")),
        ],
    );
    let ring = complete(&[auth], &OWN).unwrap();
    assert_eq!((ring.current(), ring.ids()), ("cr-1", vec!["cr-1"]));
    for server in OWN {
        let login = ring.of(server, "auth").unwrap();
        assert_eq!((login.user.as_str(), login.exposed()), ("auth", "ppppppppppppppppauth"));
    }
    assert_eq!(users(&ring.accepted(Component::Redis)), ["gateway", "auth", "chat"]);
    // It is kept byte for byte from then on, whatever becomes of the services' own Secrets.
    assert_eq!(complete(&[kept(&ring)], &OWN).unwrap().text(), ring.text());
}

#[test]
fn a_new_generation_has_users_of_its_own_and_in_redis_another_password() {
    let mut rng = rand::rng();
    let first = complete(&[], &OWN).unwrap();
    let (both, id) = first.with_one_more(&mut rng);
    assert_eq!((id.as_str(), both.current()), ("cr-2", "cr-1"));
    assert_eq!(
        users(&both.accepted(Component::RabbitMq)),
        ["auth", "auth-2", "chat", "chat-2", "media", "media-2", "notification", "notification-2"]
    );
    assert_eq!(users(&both.accepted(Component::Redis)), ["gateway", "gateway", "auth", "auth", "chat", "chat"]);
    assert_eq!(both.of(Component::MongoDb, "chat").unwrap().user, "chat");

    let switched = both.switched("cr-2").unwrap();
    let (old, new) = (first.of(Component::Redis, "chat").unwrap(), switched.of(Component::Redis, "chat").unwrap());
    assert_ne!(old.exposed(), new.exposed());
    assert_eq!(switched.of(Component::MongoDb, "chat").unwrap().user, "chat-2");
    assert!(both.switched("cr-3").is_none());

    let alone = switched.without_others();
    assert_eq!(alone.ids(), ["cr-2"]);
    assert_eq!(users(&alone.refused(Component::MongoDb)), ["auth", "chat", "media", "notification"]);
    // A leader that comes now has to prove the same.
    assert_eq!(
        users(&complete(&[kept(&alone)], &OWN).unwrap().refused(Component::MongoDb)),
        ["auth", "chat", "media", "notification"]
    );
    let settled = alone.settled();
    assert_eq!((settled.ids(), settled.refused(Component::MongoDb).len()), (vec!["cr-2"], 0));
    // A number is never used again.
    assert_eq!(alone.with_one_more(&mut rng).1, "cr-3");
    assert_eq!(complete(&[kept(&settled)], &OWN).unwrap().text(), settled.text());
}

#[test]
fn a_list_that_is_gone_begins_with_what_the_services_use() {
    let uri = format!("mongodb://media-4:{}@host/media", "p".repeat(20));
    let media = secret("acme-media", &[("mongodb-uri", &uri)]);
    let ring = complete(&[media], &OWN).unwrap();
    assert_eq!(ring.current(), "cr-4");
    assert_eq!(ring.of(Component::MongoDb, "media").unwrap().user, "media-4");
    assert_eq!(ring.of(Component::RabbitMq, "chat").unwrap().user, "chat-4");
    let gateway =
        secret("acme-gateway", &[("redis-url", &format!("redis://gateway:{}@h", "p".repeat(20))), (OBJECT, "cr-7")]);
    assert_eq!(complete(&[gateway], &[Component::Redis]).unwrap().current(), "cr-7");
}

#[test]
fn a_server_that_becomes_the_platforms_own_gets_logins_and_one_of_others_gets_none() {
    let without = complete(&[], &[Component::Redis]).unwrap();
    assert!(without.of(Component::MongoDb, "chat").is_none());
    assert!(without.with_one_more(&mut rand::rng()).0.accepted(Component::MongoDb).is_empty());
    let with = complete(&[kept(&without)], &OWN).unwrap();
    assert_eq!(with.of(Component::MongoDb, "chat").unwrap().user, "chat");
    assert_eq!(
        with.of(Component::Redis, "chat").unwrap().exposed(),
        without.of(Component::Redis, "chat").unwrap().exposed()
    );
}

#[test]
fn a_broken_list_is_an_error_that_shows_nothing() {
    let good = complete(&[], &OWN).unwrap().text().to_owned();
    let password = complete(&[kept(&complete(&[], &OWN).unwrap())], &OWN).unwrap();
    let password = password.of(Component::Redis, "chat").unwrap().exposed().to_owned();
    for broken in [
        "",
        "{",
        r#"{"current": "cr-1", "generations": {}}"#,
        &good.replace("\"user\":\"chat\"", "\"user\":\"mallory\""),
        &good.replace("\"password\":\"", "\"password\":\"@"),
    ] {
        let error = complete(&[secret("acme-credentials", &[(KEY, broken)])], &OWN).unwrap_err();
        assert_eq!(error.category(), "SecretBroken", "{broken}");
        assert!(error.to_string().contains(KEY) && !error.to_string().contains(&password));
    }
    let shown = format!("{:?}", complete(&[], &OWN).unwrap());
    assert!(shown.contains("REDACTED") && !shown.contains("Zero"), "{shown}");
}
