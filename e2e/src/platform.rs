//! A platform on a cluster: the operator from its chart, a `ChatPlatform` from an example, and the wait until it is Ready.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use json_patch::merge;
use serde_json::{Value, json};

use crate::cluster::{Cluster, EDGE_NODE_PORT};
use crate::command::Run;
use crate::interrupt;
use crate::progress::{Progress, seconds, tail};
use crate::source;

/// The namespace and the Helm release of the operator.
pub const OPERATOR_NAMESPACE: &str = "chatplatform-system";
const RELEASE: &str = "chatplatform-operator";

/// The kind, as kubectl is asked for it.
pub const RESOURCE: &str = "chatplatforms.chatplatform.dev";

/// How long a platform may take from its document to Ready.
pub const READY_LIMIT: Duration = Duration::from_mins(5);

/// Installs the operator, or brings it to what the chart says now.
pub fn install_operator(cluster: &Cluster, progress: &Progress) -> Result<()> {
    let chart = source::root()?.join("charts/chatplatform-operator");
    progress.step("install the operator", "`cargo e2e logs operator` shows what it says.", |log| {
        Run::new(&cluster.engine().helm)
            .env("KUBECONFIG", cluster.kubeconfig())
            .args(["upgrade", "--install", RELEASE])
            .arg(&chart)
            .args(["--namespace", OPERATOR_NAMESPACE, "--create-namespace", "--wait", "--timeout", "3m"])
            .log(log)
            .execute()
            .map_err(|error| match operators_words(cluster) {
                words if words.is_empty() => error,
                words => error.context(words),
            })
    })
}

fn operators_words(cluster: &Cluster) -> String {
    let pods = cluster.kubectl(["get", "pods", "--namespace", OPERATOR_NAMESPACE]).unwrap_or_default();
    let said = cluster
        .kubectl([
            "logs",
            "--namespace",
            OPERATOR_NAMESPACE,
            "--selector",
            "app.kubernetes.io/name=chatplatform-operator",
            "--tail=15",
        ])
        .unwrap_or_default();
    format!("{pods}\n{said}").trim().to_owned()
}

/// A `ChatPlatform` document from a file of the checkout, with changes laid over it as a JSON merge patch (RFC 7396).
pub fn document(file: impl AsRef<Path>, overlay: &Value) -> Result<Value> {
    let path = source::root()?.join(file);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut document: Value =
        serde_yaml::from_str(&text).with_context(|| format!("{} is not one YAML document", path.display()))?;
    merge(&mut document, overlay);
    Ok(document)
}

/// What makes a platform reachable from this machine.
#[must_use]
pub fn exposed_on_this_machine() -> Value {
    json!({"spec": {"exposure": {"type": "NodePort", "nodePort": EDGE_NODE_PORT}}})
}

/// Applies the document and waits until the platform it describes is Ready, telling of each component that changes.
pub fn apply(cluster: &Cluster, document: &Value, progress: &Progress) -> Result<Platform> {
    let platform = Platform::of(document)?;
    let began = Instant::now();
    cluster.apply(&document.to_string())?;
    progress.say(format!("… platform {} to be Ready", platform.name));
    platform.wait(cluster, progress)?;
    progress.say(format!("✓ platform {} is Ready ({})", platform.name, seconds(began.elapsed())));
    Ok(platform)
}

/// The name of a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

impl Platform {
    fn of(document: &Value) -> Result<Self> {
        let metadata = &document["metadata"];
        Ok(Self {
            name: metadata["name"].as_str().context("the document has no metadata.name")?.to_owned(),
            namespace: metadata["namespace"].as_str().unwrap_or("default").to_owned(),
        })
    }

    /// Every platform on the cluster.
    pub fn all(cluster: &Cluster) -> Result<Vec<Self>> {
        let listed = cluster.kubectl_json(["get", RESOURCE, "--all-namespaces"])?;
        listed["items"].as_array().map_or(&[][..], Vec::as_slice).iter().map(Self::of).collect()
    }

    /// The object as the cluster has it.
    pub fn get(&self, cluster: &Cluster) -> Result<Value> {
        cluster.kubectl_json(["get", RESOURCE, &self.name, "--namespace", &self.namespace])
    }

    /// Waits until it is Ready for its newest generation.
    pub fn wait(&self, cluster: &Cluster, progress: &Progress) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        let mut shown = BTreeMap::new();
        loop {
            interrupt::check()?;
            // The API server may be busy for a moment; the deadline tells whether it is more than that.
            let object = self.get(cluster).unwrap_or_default();
            for (name, state) in components(&object) {
                if shown.get(&name) != Some(&state) {
                    progress.say(format!("    {name:<16} {state}"));
                    shown.insert(name, state);
                }
            }
            if is_ready(&object) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "the platform {} is not Ready after {} s\n{}",
                    self.name,
                    READY_LIMIT.as_secs(),
                    self.trouble(cluster, &object)
                );
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn trouble(&self, cluster: &Cluster, object: &Value) -> String {
        let conditions = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
        let lines: Vec<String> = conditions
            .iter()
            .map(|condition| {
                let word = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
                format!("  {}={} {}: {}", word("type"), word("status"), word("reason"), word("message"))
            })
            .collect();
        let pods =
            cluster.kubectl(["get", "pods", "--namespace", &self.namespace, "--output", "wide"]).unwrap_or_default();
        let events = cluster
            .kubectl([
                "get",
                "events",
                "--namespace",
                &self.namespace,
                "--field-selector",
                "type=Warning",
                "--sort-by",
                ".lastTimestamp",
            ])
            .unwrap_or_default();
        format!(
            "{}\n{pods}\n{}\n{}",
            lines.join("\n"),
            tail(&events, 15),
            "`cargo e2e logs NAME` shows what a component says."
        )
    }
}

/// Name and state of each component: `1/1`, with the operator's message where it has one.
fn components(object: &Value) -> Vec<(String, String)> {
    let listed = object["status"]["components"].as_array().map_or(&[][..], Vec::as_slice);
    listed
        .iter()
        .filter_map(|component| {
            let name = component["name"].as_str()?.to_owned();
            let count = |field: &str| component[field].as_i64().unwrap_or_default();
            let (ready, desired) = (count("ready"), count("desired"));
            let message = component["message"].as_str().filter(|_| ready != desired).unwrap_or_default();
            Some((name, format!("{ready}/{desired} {message}").trim_end().to_owned()))
        })
        .collect()
}

fn is_ready(object: &Value) -> bool {
    let generation = &object["metadata"]["generation"];
    let conditions = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    !generation.is_null()
        && object["status"]["observedGeneration"] == *generation
        && conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_is_a_merge_patch() {
        let mut document = json!({"spec": {"host": "a", "redis": {"replicas": 1}, "email": {"port": 25}}});
        merge(
            &mut document,
            &json!({"spec": {"redis": {"replicas": 2}, "email": null, "exposure": {"type": "NodePort"}}}),
        );
        assert_eq!(
            document,
            json!({"spec": {"host": "a", "redis": {"replicas": 2}, "exposure": {"type": "NodePort"}}})
        );
    }

    #[test]
    fn ready_counts_only_for_the_newest_generation() {
        let object = |observed: u8, status: &str| json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": [{"type": "Ready", "status": status}]}});
        assert!(is_ready(&object(2, "True")));
        assert!(!is_ready(&object(1, "True")));
        assert!(!is_ready(&object(2, "False")));
        assert!(!is_ready(&json!(null)));
    }

    #[test]
    fn a_component_says_why_it_is_not_ready() {
        let object = json!({"status": {"components": [
            {"name": "mongodb", "ready": 0, "desired": 1, "message": "starting"},
            {"name": "redis", "ready": 1, "desired": 1, "message": "all ready"},
        ]}});
        assert_eq!(
            components(&object),
            [("mongodb".to_owned(), "0/1 starting".to_owned()), ("redis".to_owned(), "1/1".to_owned())]
        );
    }
}
