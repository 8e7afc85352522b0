//! What must be nowhere but where it belongs: what people write, and what the platform's own secrets are.

mod grep;
mod overheard;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::faults::pods_of;
use super::people::{messages, text, two_in_conversation, unique};
use super::process::Process;
use super::socket::Socket;
use super::wait::until;
use super::{Stage, collector, documents, mail, notifications};
use crate::platform::OPERATOR_NAMESPACE;
use grep::Grep;
use overheard::{Broker, Redis};

const LIMIT: Duration = Duration::from_secs(30);
/// The services that have a database.
const DATABASES: [&str; 4] = ["auth", "chat", "media", "notification"];
/// Shorter values are words, such as the name of a region.
const SHORTEST_SECRET: usize = 16;

pub(super) fn no_server_log_or_trace_has_a_word_of_what_people_write(stage: &Stage) -> Result<()> {
    let (redis, broker) = (Redis::overhear(stage)?, Broker::overhear(stage)?);
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let mut socket = Socket::connect(stage, &ada.access_token)?;
    let words = ["sent-by-rest", "sent-by-socket", "edited", "deleted", "searched-for"].map(unique);
    let [by_rest, by_socket, edited, deleted, searched] = &words;
    let first = ada.send(stage, &conversation, by_rest)?;
    let sent = json!({"conversationId": conversation, "text": by_socket, "nonce": unique("n")});
    ensure!(socket.emit("message:send", &sent)?["ok"] == true, "not acknowledged");
    let at = |message: &Value| Ok::<_, anyhow::Error>(format!("{}/{}", messages(&conversation), text(message, "id")?));
    stage.rest.json("PATCH", &at(&first)?, &ada.access_token, &json!({"text": edited}))?.expect(200)?;
    let gone = ada.send(stage, &conversation, deleted)?;
    stage.rest.json("DELETE", &at(&gone)?, &ada.access_token, &json!({}))?;
    let kept = ada.send(stage, &conversation, searched)?;
    let found = ada.list(stage, &format!("/api/v1/search/messages?q={searched}"))?;
    ensure!(found.len() == 1, "the search finds {} messages", found.len());

    // With that, everybody has had to do with it who ever has.
    notifications::notification_of(stage, &ben, &kept)?;
    let letter = mail::wait_for(stage, &ben.email, "message", LIMIT)?;
    until("spans of it", LIMIT, || {
        let traces = collector::received(stage)?;
        ensure!(traces.iter().any(|body| grep::contains(body, conversation.as_bytes())), "there are none");
        Ok(())
    })?;

    let secret = Grep::for_any(&words);
    // Whoever has it in plain sight shows that the search sees what is there.
    let plain = Grep::for_any(std::slice::from_ref(&conversation));
    for database in DATABASES {
        let seen = documents::search(stage, database, &words)?;
        if let Some(found) = seen.found.first() {
            anyhow::bail!("{database}.{} holds {:?}", found.collection, found.text);
        }
    }
    let redis = redis.heard()?.join("\n");
    let events = broker.heard()?;
    secret.finds_nothing("what Redis was asked", redis.as_bytes())?;
    secret.finds_nothing("what RabbitMQ was sent", events.as_bytes())?;
    plain.finds_something("what Redis was asked", redis.as_bytes())?;
    plain.finds_something("what RabbitMQ was sent", events.as_bytes())?;
    for component in ["edge", "gateway", "auth", "chat", "media", "notification", "web"] {
        secret.finds_nothing(&format!("the log of {component}"), stage.logs_of(component)?.as_bytes())?;
    }
    plain.finds_something("the log of the edge", stage.logs_of("edge")?.as_bytes())?;
    for body in collector::received(stage)? {
        secret.finds_nothing("a trace", &body)?;
    }
    secret.finds_nothing("the letter", letter.to_string().as_bytes())?;
    stage.note(format!("{} commands of Redis, {} bytes of events", redis.lines().count(), events.len()));
    Ok(())
}

pub(super) fn no_secret_of_the_platform_is_told_by_anything_but_its_secrets(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let secrets = secrets(stage)?;
    ensure!(secrets.len() > 20, "there are only {} secrets", secrets.len());
    let grep = Grep::for_any(&secrets.iter().cloned().collect::<Vec<_>>());
    // A secret of the platform's that is known where it belongs shows that the search sees what is there.
    let kept = stage.kubectl(["get", "secret", &format!("{}-chat", stage.platform), "--output=yaml"])?;
    grep.finds_something("the Secret itself", kept.as_bytes())?;

    let objects =
        "chatplatforms,configmaps,services,statefulsets,deployments,jobs,pods,events,networkpolicies,ingresses";
    let objects = stage.kubectl(["get", objects, "--output=yaml", "--show-managed-fields"])?;
    grep.finds_nothing("an object of the namespace", objects.as_bytes())?;
    let operator = [
        "logs",
        "--namespace",
        OPERATOR_NAMESPACE,
        "--selector=app.kubernetes.io/name=chatplatform-operator",
        "--tail=-1",
    ];
    grep.finds_nothing("the log of the operator", stage.cluster.kubectl(operator)?.as_bytes())?;
    let mut processes = 0;
    for component in COMPONENTS {
        grep.finds_nothing(&format!("the log of {component}"), stage.logs_of(component)?.as_bytes())?;
        for pod in pods_of(stage, component)? {
            let containers = pod["spec"]["containers"].as_array().map_or(&[][..], Vec::as_slice);
            for container in containers.iter().filter_map(|container| container["name"].as_str()) {
                let told = Process::of(&stage.cluster, &pod, container)?.arguments_and_environment()?;
                grep.finds_nothing(&format!("arguments or environment of {container}"), told.as_bytes())?;
                processes += 1;
            }
        }
    }
    for (path, token) in [("/api/v1/users/me", "no-token"), ("/api/v1/nowhere", ""), ("/api/v1/auth/login", "")] {
        let refused = stage.rest.post(path, token, &json!({"username": 1}))?;
        grep.finds_nothing(&format!("the problem at {path}"), &refused.bytes)?;
    }
    stage.note(format!("{} secrets, {processes} processes, {} bytes of objects", secrets.len(), objects.len()));
    Ok(())
}

const COMPONENTS: [&str; 11] = [
    "mongodb",
    "redis",
    "rabbitmq",
    "object-storage",
    "gateway",
    "auth",
    "chat",
    "media",
    "notification",
    "web",
    "edge",
];

/// Every value of the platform's Secrets that is one: passwords within connection strings, keys within rings, and the lines of private keys,
/// but nothing that is public.
fn secrets(stage: &Stage) -> Result<BTreeSet<String>> {
    let listed = stage.kubectl_json(["get", "secrets", "--selector", &stage.selector()])?;
    let mut found = BTreeSet::new();
    for secret in listed["items"].as_array().context("no list of Secrets")? {
        let Some(data) = secret["data"].as_object() else { continue };
        for (key, value) in data {
            let value = String::from_utf8(STANDARD.decode(value.as_str().unwrap_or_default())?).unwrap_or_default();
            found.extend(parts(key, &value).into_iter().filter(|part| part.len() >= SHORTEST_SECRET));
        }
    }
    Ok(found)
}

fn parts(key: &str, value: &str) -> Vec<String> {
    match key {
        "tls.crt" | "ca.crt" | "jwks.json" | "access-key-id" | "s3-access-key-id" => vec![],
        "tls.key" | "ca.key" | "tls.pem" => {
            let key = value.split("-----BEGIN PRIVATE KEY-----").nth(1).unwrap_or_default();
            let key = key.split("-----END").next().unwrap_or_default();
            key.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        }
        "keys.json" => private(&serde_json::from_str(value).unwrap_or_default()),
        uri if uri.ends_with("-uri") || uri.ends_with("-url") => {
            let login = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(login, _)| login);
            login.and_then(|login| login.split_once(':')).map(|(_, password)| password.to_owned()).into_iter().collect()
        }
        password if password.contains("password") || password.contains("secret") => vec![value.to_owned()],
        "keyfile" | "erlang-cookie" => vec![value.trim().to_owned()],
        _ => vec![],
    }
}

/// The private halves of JSON Web Keys, and keys by their ids.
fn private(ring: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match &ring["keys"] {
        Value::Array(keys) => keys.iter().filter_map(|key| text(&key["d"])).collect(),
        Value::Object(keys) => keys.values().filter_map(text).collect(),
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_of_a_value_is_found_and_what_is_public_is_not() {
        let uri = "mongodb://chat:p-w@a-0.a.n.svc:27017/chat?replicaSet=rs0";
        assert_eq!(parts("mongodb-uri", uri), ["p-w"]);
        assert_eq!(
            parts("tls.key", "-----BEGIN PRIVATE KEY-----\nMIG\nHAg\n-----END PRIVATE KEY-----\n"),
            ["MIG", "HAg"]
        );
        assert_eq!(parts("keys.json", r#"{"keys": [{"kid": "k", "x": "public", "d": "private"}]}"#), ["private"]);
        assert_eq!(parts("keys.json", r#"{"current": "mk-1", "keys": {"mk-1": "bytes"}}"#), ["bytes"]);
        assert!(parts("tls.crt", "-----BEGIN CERTIFICATE-----").is_empty());
    }
}
