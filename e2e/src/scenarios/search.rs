//! Search by way of an `OpenSearch` beside the platform.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::people::{Person, messages, text, two_in_conversation, unique};
use super::wait::until;
use super::{Stage, on_demand};
use crate::offline::images as offline;

/// Its Service, Deployment and port.
const NAME: &str = "opensearch";
const PORT: u16 = 9200;
const DATA: &str = "/usr/share/opensearch/data";
/// How long it may take until a change is found: it is fed twice a second, and shows what is new once a second.
const FOUND_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn messages_are_found_by_way_of_opensearch_which_holds_no_word_of_them(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let eve = Person::register(stage, "eve")?;
    let [old, new, edited, deleted] = ["old", "new", "edited", "deleted"].map(word);
    ada.send(stage, &conversation, &old)?;
    finds(stage, &ben, &old, &[&old])?;

    on_demand::put_image(&stage.cluster, offline::OPENSEARCH)?;
    let removed = Removed(stage);
    stage.apply(&manifest().to_string())?;
    stage.kubectl(["rollout", "status", &format!("deployment/{NAME}"), "--timeout=180s"])?;
    let endpoint = format!("http://{NAME}.{}.svc:{PORT}", stage.namespace);
    let search = json!({"backend": "OpenSearch", "openSearch": {"endpoint": endpoint, "index": "scenario"}});
    stage.change(&json!({"spec": {"search": search}}))?;
    stage.wait_until_usable()?;

    // What was there before has come to be there.
    until("the old message is in the index", FOUND_WITHIN, || holds_documents(stage, 1))?;
    finds(stage, &ben, &old, &[&old])?;
    ada.send(stage, &conversation, &new)?;
    let before = ada.send(stage, &conversation, &format!("{edited} before"))?;
    let gone = ada.send(stage, &conversation, &deleted)?;
    finds(stage, &ben, &deleted, &[&deleted])?;
    let path =
        |message: &Value| Ok::<_, anyhow::Error>(format!("{}/{}", messages(&conversation), text(message, "id")?));
    let after = format!("{edited} after");
    stage.rest.json("PATCH", &path(&before)?, &ada.access_token, &json!({"text": after}))?.expect(200)?;
    let answer = stage.rest.json("DELETE", &path(&gone)?, &ada.access_token, &json!({}))?;
    ensure!((200..300).contains(&answer.status), "deleting is answered {}", answer.status);
    finds(stage, &ben, &new, &[&new])?;
    finds(stage, &ben, &format!("{edited}%20after"), &[&after])?;
    finds(stage, &ben, &format!("{edited}%20before"), &[])?;
    finds(stage, &ben, &deleted, &[])?;
    finds(stage, &eve, &new, &[])?;
    until("the index holds what can be found", FOUND_WITHIN, || holds_documents(stage, 3))?;

    for word in [&old, &new, &edited, &deleted] {
        let found = grep(stage, word)?;
        if !found.is_empty() {
            bail!("OpenSearch holds the word {word} in {found}");
        }
    }
    // The look would find it.
    ensure!(!grep(stage, &conversation)?.is_empty(), "not even the conversation's id is found");

    drop(removed);
    stage.wait_until_usable()?;
    for word in [&old, &new] {
        finds(stage, &ben, word, &[word])?;
    }
    Ok(())
}

/// A word that nobody else says.
fn word(prefix: &str) -> String {
    unique(prefix).replace('-', "")
}

/// Waits until somebody who looks for words finds exactly these texts.
fn finds(stage: &Stage, who: &Person, words: &str, texts: &[&str]) -> Result<()> {
    until(&format!("{words} is found"), FOUND_WITHIN, || {
        let page = who.get(stage, &format!("/api/v1/search/messages?q={words}"))?.expect(200)?;
        let found: Vec<&str> =
            page["items"].as_array().into_iter().flatten().filter_map(|m| m["text"].as_str()).collect();
        ensure!(found == texts, "found is {found:?}, and not {texts:?}");
        Ok(())
    })
}

/// An error unless the index has at least so many documents.
fn holds_documents(stage: &Stage, least: u64) -> Result<()> {
    let path = format!("/api/v1/namespaces/{}/services/{NAME}:http/proxy/scenario/_count", stage.namespace);
    let counted: Value = serde_json::from_str(&stage.cluster.kubectl(["get", "--raw", &path])?)?;
    let count = counted["count"].as_u64().unwrap_or_default();
    ensure!(count >= least, "it has {count} documents");
    Ok(())
}

/// Names of the files of `OpenSearch` that hold a text.
fn grep(stage: &Stage, text: &str) -> Result<String> {
    let script = format!("grep --recursive --files-with-matches --ignore-case {text} {DATA} || true");
    stage.exec(&format!("deployment/{NAME}"), NAME, &["sh", "-c", &script])
}

fn manifest() -> Value {
    let labels = json!({"app": NAME});
    let environment = [
        ("discovery.type", "single-node"),
        ("network.host", "0.0.0.0"),
        // The official image asks for a password otherwise, and for certificates of its own.
        ("DISABLE_SECURITY_PLUGIN", "true"),
        ("DISABLE_INSTALL_DEMO_CONFIG", "true"),
        ("OPENSEARCH_JAVA_OPTS", "-Xms256m -Xmx256m"),
        // The nodes' disks are often fuller than it likes.
        ("cluster.routing.allocation.disk.threshold_enabled", "false"),
    ];
    let environment: Vec<Value> =
        environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let container = json!({
        "name": NAME,
        "image": offline::OPENSEARCH.name,
        "imagePullPolicy": "IfNotPresent",
        "env": environment,
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/_cluster/health?wait_for_status=yellow&timeout=1s", "port": "http"}, "periodSeconds": 2},
        "resources": {"limits": {"memory": "768Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let pod = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME},
            "spec": {"selector": {"matchLabels": {"app": NAME}}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
            "spec": {"selector": {"app": NAME}, "ports": [{"name": "http", "port": PORT}]},
        },
    ]})
}

/// Has the platform search in `MongoDB` again, and takes `OpenSearch` away, however the scenario ended.
struct Removed<'a>(&'a Stage);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        // Whoever waits for the platform next sees what went wrong with that.
        let _ = self.0.change(&json!({}));
        let what = [format!("deployment/{NAME}"), format!("service/{NAME}")];
        let delete = ["delete", "--ignore-not-found", "--wait=false"];
        let _ = self.0.kubectl(delete.into_iter().chain(what.iter().map(String::as_str)));
    }
}
