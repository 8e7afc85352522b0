//! Rotations from the first step to the last: what the operator writes is read by the services' own code, and what they say is what the
//! operator goes by.

#![allow(clippy::unwrap_used)]

mod credentials;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use auth::tokens::access::{Bearer, Issuer};
use auth::tokens::signer::Signer;
use chat::crypto::{DataKey, KeyRing, WrappedKey};
use contract::claims::Role;
use contract::id::{ConversationId, SessionId, UserId};
use contract::keys::{KeyUse, MESSAGE, SIGNING, StoredUnder};
use jiff::{SignedDuration, Timestamp};
use operator::build::{self, Component, Prepared, Resources};
use operator::observe::Observed;
use operator::secrets::rotation::{Decision, Kind, Testimony};
use operator::validate::{Platform, validate};
use runtime::clock::Clock;
use runtime::config::Tokens;
use runtime::identity::{TokenError, TokenVerifier};
use serde_json::{Value, json};
use tempfile::TempDir;

const READERS: [Component; 5] =
    [Component::Gateway, Component::Auth, Component::Chat, Component::Media, Component::Notification];

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A run of the operator's pure steps.
fn run(rotation: &Value, observed: &Observed, now: Timestamp) -> (Platform, Resources<Prepared>) {
    let document = serde_json::from_value(json!({
        "apiVersion": "chatplatform.dev/v1alpha1",
        "kind": "ChatPlatform",
        "metadata": {"name": "acme", "namespace": "team", "uid": "u-1"},
        "spec": {"host": "chat.acme.example", "rotation": rotation},
    }))
    .unwrap();
    let platform = validate(&document, observed, &mut rand::rng(), now).unwrap();
    let resources = build::build(&platform);
    (platform, resources)
}

/// What the next run finds.
fn observed(resources: &Resources<Prepared>, keys: Vec<Testimony>) -> Observed {
    let (secrets, config_maps) = (resources.secrets.clone(), resources.config_maps.clone());
    Observed { secrets, config_maps, keys, ..Observed::default() }
}

fn ring(resources: &Resources<Prepared>, name: &str) -> Vec<u8> {
    let secret = resources.secrets.iter().find(|secret| secret.metadata.name.as_deref() == Some(name)).unwrap();
    secret.data.as_ref().unwrap()["keys.json"].0.clone()
}

fn jwks(resources: &Resources<Prepared>) -> String {
    let files = resources.config_maps.iter().find(|files| files.metadata.name.as_deref() == Some("acme-jwks")).unwrap();
    files.data.as_ref().unwrap()["jwks.json"].clone()
}

/// The files that the pods of a service mount.
fn mount(folder: &Path, resources: &Resources<Prepared>) {
    fs::write(folder.join("keys.json"), ring(resources, "acme-signing-keys")).unwrap();
    fs::write(folder.join("jwks.json"), jwks(resources)).unwrap();
}

fn verifier(folder: &Path, now: Timestamp) -> TokenVerifier {
    let tokens = Tokens {
        issuer: "https://chat.acme.example".into(),
        audience: "chatplatform".into(),
        jwks_file: folder.join("jwks.json"),
        signing_keys_file: None,
    };
    TokenVerifier::new(&tokens, Clock::manual(now)).unwrap()
}

fn signer(folder: &Path) -> Signer {
    let issuer = Issuer { issuer: "https://chat.acme.example".into(), audience: "chatplatform".into() };
    Signer::load(issuer, &folder.join("keys.json"), &folder.join("jwks.json")).unwrap()
}

fn token(signer: &Signer, now: Timestamp) -> String {
    let (user, session) = (UserId::generate(), SessionId::generate());
    signer.sign(Bearer { user, name: "ada", roles: &[Role::User], session }, now).unwrap()
}

/// What each pod says, by the files that it has.
fn said(folders: &BTreeMap<Component, TempDir>, now: Timestamp) -> Vec<Testimony> {
    let testimony = |(component, folder): (&Component, &TempDir)| {
        let mut rings = verifier(folder.path(), now).key_rings();
        if *component == Component::Auth {
            let signer = signer(folder.path());
            rings = rings.with(SIGNING, move || KeyUse { current: Some(signer.current_key()), ..KeyUse::default() });
        }
        let pod = format!("acme-{}-1", component.name());
        Testimony { component: *component, pod, born: start(), said: Ok(rings.in_use()) }
    };
    folders.iter().map(testimony).collect()
}

fn word(platform: &Platform, kind: Kind) -> &'static str {
    platform.rotation.iter().find(|rotation| rotation.kind == kind).unwrap().state.word()
}

#[test]
fn signing_keys_rotate_and_no_service_refuses_a_token_before_its_end() {
    let folders: BTreeMap<Component, TempDir> =
        READERS.into_iter().map(|component| (component, tempfile::tempdir().unwrap())).collect();
    let (_, mut resources) = run(&json!({}), &Observed::default(), start());
    for folder in folders.values() {
        mount(folder.path(), &resources);
    }
    let first = token(&signer(folders[&Component::Auth].path()), start());
    let mut tokens = vec![(start(), first.clone())];
    let mut steps = Vec::new();
    let rotation = json!({"signingKeys": {"revision": 1}});
    for round in 1..80 {
        let now = start() + SignedDuration::from_secs(15 * round);
        // Files reach one service after the other, and the one that signs is quicker than those that verify.
        for (place, (component, folder)) in folders.iter().enumerate() {
            let place = i64::try_from(place).unwrap();
            if *component == Component::Auth || round % 5 == place {
                mount(folder.path(), &resources);
            }
        }
        tokens.push((now, token(&signer(folders[&Component::Auth].path()), now)));
        tokens.retain(|(made, _)| now.duration_since(*made) < SignedDuration::from_mins(10));
        for folder in folders.values() {
            let verifier = verifier(folder.path(), now);
            for (made, token) in &tokens {
                assert!(verifier.verify(token).is_ok(), "a token of {made} is refused at {now}, at {:?}", steps.last());
            }
        }
        let (platform, next) = run(&rotation, &observed(&resources, said(&folders, now)), now);
        steps.push(word(&platform, Kind::SigningKeys));
        resources = next;
    }
    steps.dedup();
    assert_eq!(steps, ["Spread", "Switch", "Prove", "Retire", "Refuse", "Current"]);
    // Even at a time when it was good.
    for folder in folders.values() {
        let refused = verifier(folder.path(), start()).verify(&first).unwrap_err();
        assert_eq!(refused, TokenError::Invalid("its key is unknown"));
    }
}

#[test]
fn message_keys_rotate_and_the_old_one_goes_only_when_every_data_key_is_wrapped_by_the_new_one() {
    let parse = |resources: &Resources<Prepared>| KeyRing::parse(&ring(resources, "acme-message-keys")).unwrap();
    let (_, mut resources) = run(&json!({}), &Observed::default(), start());
    let mut mounted = parse(&resources);
    let mut data_keys: Vec<(ConversationId, WrappedKey)> = (0..30)
        .map(|_| {
            let conversation = ConversationId::generate();
            let key = DataKey::generate(&mut rand::rng()).wrap(&mounted, conversation, &mut rand::rng()).unwrap();
            (conversation, key)
        })
        .collect();
    let mut steps = Vec::new();
    for round in 1..40 {
        let now = start() + SignedDuration::from_secs(20 * round);
        if round % 3 == 0 {
            mounted = parse(&resources);
        }
        let current = mounted.current_id().to_owned();
        let old = data_keys.iter_mut().filter(|(_, key)| key.key_id != current);
        // A few at a time.
        for (conversation, key) in old.take(5) {
            let data_key = key.unwrap(&mounted, *conversation).unwrap();
            *key = data_key.wrap(&mounted, *conversation, &mut rand::rng()).unwrap();
        }
        let mut counts = BTreeMap::new();
        for (_, key) in data_keys.iter().filter(|(_, key)| key.key_id != current) {
            *counts.entry(key.key_id.clone()).or_default() += 1;
        }
        let keys = KeyUse {
            current: Some(current),
            accepted: mounted.ids().map(str::to_owned).collect(),
            stored: Some(StoredUnder { counts, seconds_ago: 1 }),
        };
        let said = Ok([(MESSAGE.to_owned(), keys)].into());
        let testimony = Testimony { component: Component::Chat, pod: "acme-chat-1".into(), born: start(), said };
        let rotation = json!({"messageKeys": {"revision": 1}});
        let (platform, next) = run(&rotation, &observed(&resources, vec![testimony]), now);
        steps.push(word(&platform, Kind::MessageKeys));
        resources = next;
        for (conversation, key) in &data_keys {
            assert!(key.unwrap(&parse(&resources), *conversation).is_ok(), "a data key is lost at {:?}", steps.last());
        }
    }
    steps.dedup();
    assert_eq!(steps, ["Spread", "Switch", "Prove", "Retire", "Refuse", "Current"]);
    assert_eq!(parse(&resources).ids().collect::<Vec<_>>(), ["mk-2"]);
}

#[test]
fn at_rest_every_run_gives_the_same_bytes_and_nobody_knows_of_a_step() {
    let (first, resources) = run(&json!({}), &Observed::default(), start());
    let later = start() + SignedDuration::from_hours(24 * 30);
    let (again, next) = run(&json!({}), &observed(&resources, vec![]), later);
    assert_eq!(resources.secrets, next.secrets);
    for (one, other) in first.rotation.iter().zip(&again.rotation) {
        assert_eq!((&one.state, one.due), (&other.state, other.due));
        assert_eq!(other.decision, Decision::Rest(one.due));
    }
    // Due by their age; each is begun once.
    let much_later = start() + SignedDuration::from_hours(24 * 180);
    let (due, next) = run(&json!({}), &observed(&next, vec![]), much_later);
    assert_eq!(Kind::ALL.map(|kind| word(&due, kind)), ["Spread", "Spread", "Spread"]);
    let (_, same) = run(&json!({}), &observed(&next, vec![]), much_later);
    assert_eq!(next.secrets, same.secrets);
}

#[test]
fn what_cannot_be_read_of_a_step_is_told_with_its_secret_and_its_cure() {
    let (_, mut resources) = run(&json!({}), &Observed::default(), start());
    let name = "acme-signing-keys";
    let secret = resources.secrets.iter_mut().find(|secret| secret.metadata.name.as_deref() == Some(name)).unwrap();
    let annotations = secret.metadata.annotations.as_mut().unwrap();
    annotations.insert(operator::secrets::rotation::ANNOTATION.into(), "{}".into());
    let document = serde_json::from_value(json!({
        "apiVersion": "chatplatform.dev/v1alpha1",
        "kind": "ChatPlatform",
        "metadata": {"name": "acme", "namespace": "team", "uid": "u-1"},
        "spec": {"host": "chat.acme.example"},
    }));
    let found = observed(&resources, vec![]);
    let error = validate(&document.unwrap(), &found, &mut rand::rng(), start()).unwrap_err().to_string();
    for part in [name, "chatplatform.dev/rotation", "remove the annotation"] {
        assert!(error.contains(part), "{error}");
    }
}
