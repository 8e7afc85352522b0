//! Keys and credentials that are replaced while people chat.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::load::{Crowd, under_load};
use super::logins::Logins;
use super::people::two_in_conversation;
use super::recovery::Talk;
use super::rolling::visited;
use super::socket::Socket;
use super::wait::until;
use super::{Stage, documents};

/// Until a step is reached: the kubelets bring the files at once, once they are told, and the caches of what is published take a minute.
const STEP_WITHIN: Duration = Duration::from_mins(5);
/// Until nobody accepts the old key any more after it was dropped.
const REFUSED_WITHIN: Duration = Duration::from_mins(3);
/// The servers that services log in to.
const SERVERS: [&str; 3] = ["mongodb", "redis", "rabbitmq"];
/// How long a request of the crowd may wait.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn a_new_revision_rotates_the_signing_keys_under_load_and_nobody_notices(stage: &Stage) -> Result<()> {
    stage.wait_until_usable()?;
    let pods = pods(stage)?;
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let (mut from, mut to) = (Socket::connect(stage, &ada.access_token)?, Socket::connect(stage, &ben.access_token)?);
    let mut talk = Talk::begin(&conversation);
    let before = row(stage, "signingKeys")?;

    let crowd = Crowd::together().patient(PATIENCE);
    let (((), visits), written) = under_load(stage, &crowd, |load| {
        visited(stage, |visits| {
            for step in ["Spread", "Switch", "Prove", "Retire"] {
                visits.during(step);
                if step == "Spread" {
                    ask(stage, "signingKeys", &json!({}))?;
                }
                until(&format!("the rotation reaches {step}"), STEP_WITHIN, || {
                    talk.say_more(&mut from)?;
                    let row = row(stage, "signingKeys")?;
                    ensure!(rank(&row)? >= rank_of(step), "it is at {row}");
                    Ok(())
                })?;
                load.wait_for_more(10)?;
            }
            Ok(())
        })
    })?;
    written.ensure_none_repeated()?;
    talk.ensure_stored(&ben.history(stage, &conversation)?)?;
    ensure!(from.connections()? == 1 && to.connections()? == 1, "a socket was closed");

    let waiting = until("the status says until when the old key stays", STEP_WITHIN, || {
        let row = row(stage, "signingKeys")?;
        ensure!(row["state"] == "Retire" && row["nextStep"].is_string(), "it is at {row}");
        Ok(row)
    })?;
    ensure!(generation(&waiting)? == generation(&before)? + 1, "the generation is {waiting}");
    // Tokens of both keys are good.
    let anew = ada.log_in(stage)?;
    ensure!(key_of(&anew.access_token) != key_of(&ada.access_token), "the old key still signs");
    for person in [&ada, &ben, &anew] {
        person.get(stage, "/api/v1/users/me")?.expect(200)?;
    }
    let published = stage.rest.get("/.well-known/jwks.json", "")?.expect(200)?;
    ensure!(published["keys"].as_array().map(Vec::len) == Some(2), "published are {published}");

    // In an emergency nobody waits for the last token: both keys go.
    ask(stage, "signingKeys", &json!({"revoke": true}))?;
    until("tokens of the old keys are refused", REFUSED_WITHIN, || {
        for person in [&ada, &anew] {
            person.get(stage, "/api/v1/users/me")?.refused(401, "invalid-token")?;
        }
        Ok(())
    })?;
    until("nobody accepts an old key", REFUSED_WITHIN, || {
        let row = row(stage, "signingKeys")?;
        ensure!(row["state"] == "Current" && row["nextRotation"].is_string(), "it is at {row}");
        Ok(())
    })?;
    ada.log_in(stage)?.get(stage, "/api/v1/users/me")?.expect(200)?;
    let published = stage.rest.get("/.well-known/jwks.json", "")?.expect(200)?;
    ensure!(published["keys"].as_array().map(Vec::len) == Some(1), "published are {published}");
    ensure!(self::pods(stage)? == pods, "pods were replaced or restarted");
    stage.note(format!("{}; {visits}", written.note()));
    Ok(())
}

pub(super) fn message_keys_rotate_and_every_data_key_is_wrapped_by_the_new_one(stage: &Stage) -> Result<()> {
    stage.wait_until_usable()?;
    let pods = pods(stage)?;
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let words: Vec<String> = (0..5).map(|number| format!("before the rotation {number}")).collect();
    for words in &words {
        ada.send(stage, &conversation, words)?;
    }
    // Conversations in which nobody writes have to be wrapped anew, too.
    for _ in 0..3 {
        ada.open_group(stage, &[&ben.id])?;
    }
    let before = row(stage, "messageKeys")?;
    let old = current_message_key(stage)?;

    let ((), written) = under_load(stage, &Crowd::together().patient(PATIENCE), |load| {
        ask(stage, "messageKeys", &json!({}))?;
        until("the rotation is done", STEP_WITHIN, || {
            let row = row(stage, "messageKeys")?;
            let is_done = row["state"] == "Current" && generation(&row)? == generation(&before)? + 1;
            ensure!(is_done, "it is at {row}");
            Ok(())
        })?;
        load.wait_for_more(10)
    })?;
    written.ensure_none_repeated()?;

    let new = current_message_key(stage)?;
    ensure!(new != old, "the old key is still current");
    let seen = documents::search(stage, "chat", &[old.clone(), new.clone()])?;
    let found = |text: &str| seen.found.iter().filter(|found| found.text == text).count();
    ensure!(found(&old) == 0, "{} documents still name {old}", found(&old));
    ensure!(found(&new) >= 4, "only {} documents name {new}", found(&new));
    let read: Vec<Value> = ben.history(stage, &conversation)?;
    let read: Vec<&str> = read.iter().filter_map(|message| message["text"].as_str()).collect();
    ensure!(read == words, "what was said before reads {read:?}");
    ensure!(self::pods(stage)? == pods, "pods were replaced or restarted");
    stage.note(written.note());
    Ok(())
}

pub(super) fn credentials_rotate_under_load_nobody_notices_and_the_old_ones_are_refused(stage: &Stage) -> Result<()> {
    stage.wait_until_usable()?;
    let pods = pods(stage)?;
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let (mut from, mut to) = (Socket::connect(stage, &ada.access_token)?, Socket::connect(stage, &ben.access_token)?);
    let mut talk = Talk::begin(&conversation);
    let before = row(stage, "credentials")?;
    let old = Logins::take(stage)?;
    ensure!(old.accepted_by(stage)? == SERVERS, "a login that is in use is refused");

    let crowd = Crowd::together().patient(PATIENCE);
    let (((), visits), written) = under_load(stage, &crowd, |load| {
        visited(stage, |visits| {
            ask(stage, "credentials", &json!({}))?;
            until("the rotation is done", STEP_WITHIN, || {
                talk.say_more(&mut from)?;
                let row = row(stage, "credentials")?;
                visits.during(row["state"].as_str().unwrap_or_default());
                let is_done = row["state"] == "Current" && generation(&row)? == generation(&before)? + 1;
                ensure!(is_done, "it is at {row}");
                Ok(())
            })?;
            visits.during("afterwards");
            load.wait_for_more(20)
        })
    })?;
    written.ensure_none_repeated()?;
    talk.say_more(&mut from)?;
    talk.ensure_stored(&ben.history(stage, &conversation)?)?;
    ensure!(from.connections()? == 1 && to.connections()? == 1, "a socket was closed");
    ada.log_in(stage)?.get(stage, "/api/v1/users/me")?.expect(200)?;

    let accepted = old.accepted_by(stage)?;
    ensure!(accepted.is_empty(), "old logins are still accepted by {accepted:?}");
    ensure!(Logins::take(stage)?.accepted_by(stage)? == SERVERS, "a new login is refused");
    ensure!(self::pods(stage)? == pods, "pods were replaced or restarted");
    stage.note(format!("{}; {visits}", written.note()));
    Ok(())
}

/// Asks for a rotation as a person does: by the next revision. There is no way back from it.
fn ask(stage: &Stage, kind: &str, more: &Value) -> Result<()> {
    let revision = stage.document()["spec"]["rotation"][kind]["revision"].as_i64().unwrap_or(0) + 1;
    let mut wish = json!({"revision": revision});
    json_patch::merge(&mut wish, more);
    stage.change_for_good(&json!({"spec": {"rotation": {kind: wish}}}))
}

/// What the status says of a kind of secret.
fn row(stage: &Stage, kind: &str) -> Result<Value> {
    let platform = stage.read_platform()?;
    let rows = platform["status"]["secrets"].as_array().context("the status has no secrets")?;
    rows.iter().find(|row| row["name"] == kind).cloned().with_context(|| format!("the status has no {kind}"))
}

fn generation(row: &Value) -> Result<u64> {
    row["generation"].as_u64().with_context(|| format!("no generation in {row}"))
}

/// How far a rotation is.
fn rank(row: &Value) -> Result<usize> {
    row["state"].as_str().map(rank_of).with_context(|| format!("no state in {row}"))
}

fn rank_of(step: &str) -> usize {
    ["Current", "Spread", "Switch", "Prove", "Retire", "Refuse"].iter().position(|known| *known == step).unwrap_or(0)
}

/// The head of a token, which names its key.
fn key_of(token: &str) -> &str {
    token.split('.').next().unwrap_or_default()
}

/// Id of the key that wraps new data keys.
fn current_message_key(stage: &Stage) -> Result<String> {
    let ring = stage.secret(&format!("{}-message-keys", stage.platform), "keys.json")?;
    let ring: Value = serde_json::from_str(&ring).context("the ring is no JSON")?;
    ring["current"].as_str().map(str::to_owned).context("the ring names no current key")
}

/// Every pod of the platform, and how often its containers were restarted.
fn pods(stage: &Stage) -> Result<BTreeMap<String, i64>> {
    let listed = stage.kubectl_json(["get", "pods", "--selector", &stage.selector()])?;
    let pods = listed["items"].as_array().context("no list of pods")?.iter().map(|pod| {
        let uid = pod["metadata"]["uid"].as_str().context("a pod without an identity")?;
        let containers = pod["status"]["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
        let restarts = containers.iter().filter_map(|container| container["restartCount"].as_i64()).sum();
        Ok((uid.to_owned(), restarts))
    });
    pods.collect()
}
