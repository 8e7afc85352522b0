#![allow(clippy::unwrap_used, clippy::expect_used)]

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::build::Component;
use crate::secrets::rotation::Ring as _;
use crate::secrets::{Error, Existing, Externals, Names};

fn names() -> Names {
    Names {
        platform: "acme".to_owned(),
        namespace: "chat".to_owned(),
        host: "chat.acme.example".to_owned(),
        mongodb_members: 1,
        redis_replicas: 1,
        rabbitmq_replicas: 1,
    }
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn complete(secrets: &[Secret], seed: u64, at: Timestamp) -> Result<Material, Error> {
    let existing = Existing::new(secrets.iter().cloned());
    Material::complete(&existing, &Externals::default(), &names(), &mut StdRng::seed_from_u64(seed), at)
}

fn secrets(material: &Material) -> Vec<Secret> {
    material.rendered(&names()).iter().map(|rendered| rendered.to_secret(ObjectMeta::default())).collect()
}

fn value<'a>(secrets: &'a mut [Secret], name: &str, key: &str) -> &'a mut Vec<u8> {
    let secret = secrets.iter_mut().find(|secret| secret.metadata.name.as_deref() == Some(name)).unwrap();
    &mut secret.data.as_mut().unwrap().get_mut(key).unwrap().0
}

fn text(secrets: &[Secret], name: &str, key: &str) -> String {
    String::from_utf8(value(&mut secrets.to_vec(), name, key).clone()).unwrap()
}

fn mongodb_password(material: &Material, user: &str) -> String {
    material.credentials.of(Component::MongoDb, user).unwrap().exposed().to_owned()
}

#[test]
fn what_exists_is_kept_byte_for_byte_whatever_the_random_numbers_are() {
    let first = secrets(&complete(&[], 1, now()).unwrap());
    let again = secrets(&complete(&first, 2, now() + jiff::SignedDuration::from_hours(24 * 30)).unwrap());
    assert_eq!(first, again);
}

#[test]
fn two_platforms_share_no_secret() {
    let (one, other) = (secrets(&complete(&[], 1, now()).unwrap()), secrets(&complete(&[], 2, now()).unwrap()));
    for (one, other) in one.iter().zip(&other) {
        // The number of a generation is none.
        for (key, value) in one.data.as_ref().unwrap().iter().filter(|(key, _)| *key != "credentials") {
            assert_ne!(value, &other.data.as_ref().unwrap()[key], "{:?} {key}", one.metadata.name);
        }
    }
}

#[test]
fn a_secret_that_is_gone_is_made_again_and_the_others_stay() {
    let first = secrets(&complete(&[], 1, now()).unwrap());
    let without = |gone: &[&str]| -> Vec<Secret> {
        let is_gone = |secret: &&Secret| secret.metadata.name.as_deref().is_some_and(|name| gone.contains(&name));
        first.iter().filter(|secret| !is_gone(secret)).cloned().collect()
    };
    // What services log in with is kept twice, and either brings the other back.
    assert_eq!(secrets(&complete(&without(&["acme-auth"]), 2, now()).unwrap()), first);
    assert_eq!(secrets(&complete(&without(&["acme-credentials"]), 2, now()).unwrap()), first);

    let again = secrets(&complete(&without(&["acme-auth", "acme-credentials"]), 2, now()).unwrap());
    assert_ne!(text(&first, "acme-auth", "mongodb-uri"), text(&again, "acme-auth", "mongodb-uri"));
    assert_eq!(text(&first, "acme-chat", "mongodb-uri"), text(&again, "acme-chat", "mongodb-uri"));
    // Redis must know the new password.
    assert_ne!(text(&first, "acme-redis", "users.acl"), text(&again, "acme-redis", "users.acl"));
}

#[test]
fn a_platform_of_an_operator_that_knew_no_generations_is_taken_up_as_it_is() {
    let mut before = secrets(&complete(&[], 1, now()).unwrap());
    before.retain(|secret| secret.metadata.name.as_deref() != Some("acme-credentials"));
    for secret in &mut before {
        secret.data.as_mut().unwrap().remove("credentials");
    }
    let mut after = secrets(&complete(&before, 2, now()).unwrap());
    assert_eq!(text(&after, "acme-chat", "credentials"), "cr-1");
    // Beside that nothing has changed: nobody has to connect anew, and no server to learn anything.
    after.retain(|secret| secret.metadata.name.as_deref() != Some("acme-credentials"));
    for secret in &mut after {
        secret.data.as_mut().unwrap().remove("credentials");
    }
    assert_eq!(before, after);
}

#[test]
fn the_account_of_the_store_outlives_the_loss_of_either_secret() {
    let first = secrets(&complete(&[], 1, now()).unwrap());
    for lost in ["acme-object-storage", "acme-media"] {
        let left: Vec<_> =
            first.iter().filter(|secret| secret.metadata.name.as_deref() != Some(lost)).cloned().collect();
        let again = secrets(&complete(&left, 2, now()).unwrap());
        let key = |secrets: &[Secret]| text(secrets, "acme-object-storage", "secret-access-key");
        assert_eq!(key(&first), key(&again));
    }
}

#[test]
fn a_broken_value_is_an_error_that_names_secret_and_key_and_shows_nothing() {
    let first = secrets(&complete(&[], 1, now()).unwrap());
    for (name, key) in [
        ("acme-credentials", "credentials.json"),
        ("acme-mongodb", "keyfile"),
        ("acme-redis", "operator-password"),
        ("acme-signing-keys", "keys.json"),
        ("acme-message-keys", "keys.json"),
        ("acme-account-keys", "keys.json"),
        ("acme-ca", "tls.crt"),
        ("acme-edge-tls", "tls.key"),
    ] {
        for garbage in ["", "gar:bage@%%", "\u{0}"] {
            let mut secrets = first.clone();
            garbage.as_bytes().clone_into(value(&mut secrets, name, key));
            let error = complete(&secrets, 2, now()).unwrap_err();
            assert_eq!(error.category(), "SecretBroken");
            let message = error.to_string();
            assert!(message.contains(name) && message.contains(key), "{message}");
            assert!(!message.contains("gar:bage"), "{message}");
        }
    }
}

#[test]
fn message_keys_that_are_gone_while_messages_are_stored_are_not_replaced() {
    let names = names();
    let existing = Existing::default().with_data_stored(true);
    let error = Material::complete(&existing, &Externals::default(), &names, &mut StdRng::seed_from_u64(1), now());
    assert_eq!(error.unwrap_err().category(), "SecretLost");
}

#[test]
fn a_uri_follows_the_members_and_keeps_its_password() {
    let first = complete(&[], 1, now()).unwrap();
    let mut names = names();
    names.mongodb_members = 3;
    let existing = Existing::new(secrets(&first));
    let grown =
        Material::complete(&existing, &Externals::default(), &names, &mut StdRng::seed_from_u64(2), now()).unwrap();
    assert_eq!(mongodb_password(&first, "chat"), mongodb_password(&grown, "chat"));
    let rendered = grown.rendered(&names);
    let chat = rendered.iter().find(|rendered| rendered.name() == "acme-chat").unwrap();
    let uri = chat.to_secret(ObjectMeta::default()).data.unwrap()["mongodb-uri"].clone();
    let hosts = (0..3).map(|n| format!("acme-mongodb-{n}.acme-mongodb.chat.svc:27017")).collect::<Vec<_>>().join(",");
    let password = mongodb_password(&grown, "chat");
    let wanted = format!(
        "mongodb://chat:{password}@{hosts}/chat?replicaSet=rs0&authSource=admin&tls=true&tlsCAFile=/etc/chatplatform/secrets/ca.crt"
    );
    assert_eq!(uri, ByteString(wanted.into_bytes()));
}

#[test]
fn the_certificate_of_the_edge_is_renewed_at_two_thirds_of_its_life_by_the_same_authority() {
    let first = complete(&[], 1, now()).unwrap();
    let day = |days: i64| now() + jiff::SignedDuration::from_hours(24 * days);
    let kept = complete(&secrets(&first), 2, day(59)).unwrap();
    assert_eq!(kept.edge.pem(), first.edge.pem());
    let renewed = complete(&secrets(&first), 2, day(61)).unwrap();
    assert_ne!(renewed.edge.pem(), first.edge.pem());
    assert_eq!(renewed.authority.pem(), first.authority.pem());
    assert!(renewed.edge.own().unwrap().not_after() > day(150));
    assert!(first.renew_at() > day(59) && first.renew_at() < day(61));
}

#[test]
fn another_host_or_another_authority_makes_another_certificate() {
    let first = complete(&[], 1, now()).unwrap();
    let mut other = names();
    other.host = "talk.acme.example".to_owned();
    let existing = Existing::new(secrets(&first));
    let moved =
        Material::complete(&existing, &Externals::default(), &other, &mut StdRng::seed_from_u64(2), now()).unwrap();
    assert_ne!(moved.edge.pem(), first.edge.pem());
    assert_eq!(moved.authority.pem(), first.authority.pem());

    let left: Vec<_> = secrets(&first).into_iter().filter(|s| s.metadata.name.as_deref() != Some("acme-ca")).collect();
    let reissued = complete(&left, 2, now()).unwrap();
    assert_ne!(reissued.edge.pem(), first.edge.pem());
    assert!(reissued.edge.own().unwrap().serves(&reissued.authority, &names().edge_subjects(), now()));
    assert!(!first.edge.own().unwrap().serves(&reissued.authority, &names().edge_subjects(), now()));
}

#[test]
fn the_acl_file_closes_the_default_user_and_holds_no_password() {
    let material = complete(&[], 1, now()).unwrap();
    let redis = material.redis.own().unwrap();
    let services = material.credentials.accepted(Component::Redis);
    let acl = text(&secrets(&material), "acme-redis", "users.acl");
    assert!(acl.starts_with("user default off "));
    for login in services.iter().chain([&redis.operator, &redis.replication, &redis.sentinel]) {
        assert!(acl.contains(&format!("user {} on #", login.user)));
        assert!(!acl.contains(login.exposed()));
    }
}

#[test]
fn during_a_rotation_the_acl_file_has_both_passwords_of_a_user_and_services_the_one_in_use() {
    let mut material = complete(&[], 1, now()).unwrap();
    let old = material.credentials.of(Component::Redis, "chat").unwrap();
    let (both, id) = material.credentials.with_one_more(&mut StdRng::seed_from_u64(2));
    material.credentials = both;
    let hashes = |material: &Material| {
        let of_chat = material.credentials.accepted(Component::Redis).into_iter().filter(|login| login.user == "chat");
        let hashes = of_chat.map(|login| format!("#{}", crate::secrets::redis_password_hash(login.exposed())));
        hashes.collect::<Vec<_>>().join(" ")
    };
    for file in ["users.acl", "sentinel.acl"] {
        let acl = text(&secrets(&material), "acme-redis", file);
        let line = format!("user chat on {} resetchannels ", hashes(&material));
        assert!(acl.contains(&line) && acl.matches("user chat ").count() == 1, "{acl}");
    }
    assert!(text(&secrets(&material), "acme-chat", "redis-url").contains(old.exposed()));
    assert_eq!(text(&secrets(&material), "acme-chat", "credentials"), "cr-1");
    material.credentials = material.credentials.switched(&id).unwrap();
    let url = text(&secrets(&material), "acme-chat", "mongodb-uri");
    assert!(url.starts_with("mongodb://chat-2:") && url.contains("27017/chat?"), "{url}");
    assert_eq!(text(&secrets(&material), "acme-chat", "credentials"), "cr-2");
    material.credentials = material.credentials.without_others();
    assert!(
        !text(&secrets(&material), "acme-redis", "users.acl")
            .contains(&crate::secrets::redis_password_hash(old.exposed()))
    );
}

#[test]
fn debug_shows_no_secret() {
    let material = complete(&[], 1, now()).unwrap();
    let existing = Existing::new(secrets(&material));
    let shown = format!("{material:?} {:?} {existing:?}", material.rendered(&names()));
    let password = mongodb_password(&material, "auth");
    let hidden = [
        &password,
        material.redis.own().unwrap().operator.exposed(),
        material.mongodb.own().unwrap().key_file.expose_secret(),
        material.signing_keys.text(),
        material.message_keys.text(),
        material.object_storage.secret_access_key.expose_secret(),
        "PRIVATE KEY",
    ];
    for secret in hidden {
        assert!(!shown.contains(secret));
    }
}

#[test]
fn pods_restart_only_for_what_they_read_at_their_start() {
    let first = complete(&[], 1, now()).unwrap();
    let mut kept = secrets(&first);
    kept.retain(|secret| secret.metadata.name.as_deref() != Some("acme-auth"));
    let again = complete(&kept, 2, now()).unwrap();
    for component in ["mongodb", "redis", "rabbitmq", "object-storage"] {
        assert!(first.read_at_start(component).is_some());
        assert_eq!(first.read_at_start(component), again.read_at_start(component));
    }
    assert_eq!(first.read_at_start("chat"), None);
    let other = complete(&[], 3, now()).unwrap();
    assert_ne!(first.read_at_start("redis"), other.read_at_start("redis"));
}

#[test]
fn a_server_that_somebody_else_runs_has_no_secret_of_its_own_and_its_uri_is_handed_on() {
    let mut externals = Externals::default();
    let uri = ByteString(b"mongodb://them:theirs@db.example:27017/?replicaSet=x\n".to_vec());
    let ca = ByteString(b"THEIR AUTHORITY".to_vec());
    let secret = Secret { data: Some([("uri".into(), uri), ("ca.crt".into(), ca)].into()), ..Secret::default() };
    externals.insert("mongodb", secret);
    let mut rng = StdRng::seed_from_u64(1);
    let material = Material::complete(&Existing::default(), &externals, &names(), &mut rng, now()).unwrap();
    let secrets = secrets(&material);
    assert!(!secrets.iter().any(|secret| secret.metadata.name.as_deref() == Some("acme-mongodb")));
    for service in ["acme-auth", "acme-chat", "acme-media", "acme-notification"] {
        let uri = text(&secrets, service, "mongodb-uri");
        assert!(uri.starts_with("mongodb://them:theirs@db.example:27017/?replicaSet=x&"), "{uri}");
        let trusted = text(&secrets, service, "ca.crt");
        assert!(trusted.starts_with(material.authority.pem()) && trusted.contains("THEIR AUTHORITY"));
    }
    assert!(material.external_connections().is_some());
    assert!(!format!("{material:?} {externals:?}").contains("theirs"));
}

#[test]
fn with_backups_there_is_a_user_that_makes_them_and_a_secret_of_its_own_and_without_there_is_neither() {
    let mut externals = Externals::default();
    let account = [("accessKeyId", "id"), ("secretAccessKey", "theirs")];
    let account = account.map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())));
    externals.insert(Externals::BACKUP, Secret { data: Some(account.into()), ..Secret::default() });
    let complete_with = |secrets: &[Secret], externals: &Externals, seed| {
        let existing = Existing::new(secrets.iter().cloned());
        Material::complete(&existing, externals, &names(), &mut StdRng::seed_from_u64(seed), now()).unwrap()
    };
    let material = complete_with(&[], &externals, 1);
    let with = secrets(&material);
    assert!(text(&with, "acme-backup", "mongodb-uri").starts_with("mongodb://backup:"));
    assert_eq!(text(&with, "acme-backup", "s3-secret-access-key"), "theirs");
    assert!(material.object_storage.is_own, "files stay where they are");
    assert_eq!(secrets(&complete_with(&with, &externals, 2)), with, "it is kept");
    assert!(!format!("{material:?}").contains("theirs"));

    let without = complete_with(&with, &Externals::default(), 3);
    assert!(without.mongodb.own().unwrap().backup.is_none());
    assert!(!secrets(&without).iter().any(|secret| secret.metadata.name.as_deref() == Some("acme-backup")));
}

#[test]
fn with_three_servers_redis_is_reached_by_way_of_sentinel() {
    let mut names = names();
    names.redis_replicas = 3;
    let url = names.redis_url(&Login::new("chat", "pw".into()));
    let hosts = (0..3).map(|n| format!("acme-redis-{n}.acme-redis.chat.svc:26379")).collect::<Vec<_>>().join(",");
    assert_eq!(url, format!("redis+sentinel://chat:pw@{hosts}/chatplatform/0"));
}

/// Somebody else's certificate, as their Secret has it; the texts need not be a certificate here, where they are handed on.
fn given(authority: Option<&str>) -> Externals {
    let texts = [
        Some(("tls.crt", "THEIR CERTIFICATE")),
        Some(("tls.key", "THEIR KEY\n")),
        authority.map(|pem| ("ca.crt", pem)),
    ];
    let data = texts.into_iter().flatten().map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec())));
    let mut externals = Externals::default();
    externals.insert("edge", Secret { data: Some(data.collect()), ..Secret::default() });
    externals
}

#[test]
fn a_certificate_of_somebody_elses_is_copied_with_what_vouches_for_it() {
    let complete_with = |secrets: &[Secret], externals: &Externals| {
        let existing = Existing::new(secrets.iter().cloned());
        Material::complete(&existing, externals, &names(), &mut StdRng::seed_from_u64(1), now()).unwrap()
    };
    let own = secrets(&complete(&[], 1, now()).unwrap());
    let with_authority = secrets(&complete_with(&own, &given(Some("THEIR AUTHORITY"))));
    assert_eq!(text(&with_authority, "acme-edge-tls", "tls.crt"), "THEIR CERTIFICATE\n");
    assert_eq!(text(&with_authority, "acme-edge-tls", "tls.key"), "THEIR KEY\n");
    assert_eq!(text(&with_authority, "acme-edge-tls", "ca.crt"), "THEIR AUTHORITY\n");
    let material = complete_with(&with_authority, &given(None));
    let without = secrets(&material);
    let edge = without.iter().find(|secret| secret.metadata.name.as_deref() == Some("acme-edge-tls")).unwrap();
    assert!(!edge.data.as_ref().unwrap().contains_key("ca.crt"), "the authority of the operator's own did not sign it");
    assert!(!format!("{material:?}").contains("THEIR KEY"));

    // Back to the operator's own, whatever has been there.
    for before in [with_authority, without] {
        let back = complete(&before, 2, now()).unwrap();
        assert!(back.edge.own().unwrap().serves(&back.authority, &names().edge_subjects(), now()));
        assert_eq!(text(&own, "acme-ca", "tls.crt"), back.authority.pem());
    }
}
