//! What is beside the platform on stage, in its namespace or another one: other platforms, and things of other people.
//!
//! These platforms ask for images that do not exist. All of their objects are there, and nothing runs, so that they cost nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::faults::name_of;
use super::status::condition;
use super::wait::until;
use super::{Stage, healing};
use crate::platform;

const NAME: &str = "neighbour";
/// A registry that refuses at once: nobody listens there. A name that nobody has would be looked up for many seconds, one image after the
/// other, and the kubelet ends no pod meanwhile.
const REGISTRY: &str = "localhost:1";
/// A namespace that goes with all that is in it.
const PASSING: &str = "passing";
const QUOTA: &str = "nothing-runs";
const TOLD_WITHIN: Duration = Duration::from_mins(1);
const GONE_WITHIN: Duration = Duration::from_mins(3);

pub(super) fn a_platform_without_images_says_which_and_does_not_delay_the_one_beside(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let neighbour = Hollow::begin(stage, NAME, &stage.namespace)?;
    neighbour.wait_until_it_says(
        "Stalled",
        "True",
        "ImagePullBackOff",
        &[&format!("pod {NAME}-"), &format!("image {REGISTRY}/"), "check spec.images"],
    )?;
    // Others are looked after as quickly as ever.
    let name = format!("{}-jwks", stage.platform);
    let object = stage.kubectl_json(["get", "ConfigMap", &name])?;
    healing::delete(stage, "ConfigMap", &name, &object["metadata"]["uid"])?;
    stage.wait_until_ready()
}

pub(super) fn two_platforms_in_one_namespace_do_not_meet_and_what_is_others_stays(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let bystanders = Bystanders::place(stage)?;
    let (own, theirs) = (uids(&stage.owned_objects()?)?, bystanders.versions()?);
    let neighbour = Hollow::begin(stage, NAME, &stage.namespace)?;
    until("all of the neighbour's workloads are there", TOLD_WITHIN, || {
        let objects = stage.objects_of(NAME)?;
        let is_workload = |object: &&Value| object["kind"] == "Deployment" || object["kind"] == "StatefulSet";
        let workloads = objects.iter().filter(is_workload).count();
        ensure!(workloads == 11, "there are {workloads}");
        Ok(())
    })?;
    let objects = stage.objects_of(NAME)?;
    for object in &objects {
        apart(object)?;
    }
    let stages = stage.owned_objects()?;
    let (known, secrets) = (values(&stages), values(&objects));
    ensure!(known.len() > 20 && secrets.len() > 20, "{} and {} values", known.len(), secrets.len());
    let shared = known.intersection(&secrets).count();
    ensure!(shared == 0, "{shared} values of Secrets are the same");

    // A pause holds up no deletion.
    neighbour.change(&json!({"spec": {"paused": true}}))?;
    neighbour.delete()?;
    until("nothing of the neighbour is left", GONE_WITHIN, || {
        let left = stage.objects_of(NAME)?;
        let left: Vec<&Value> = left.iter().map(|object| &object["metadata"]["name"]).collect();
        ensure!(left.is_empty(), "left: {left:?}");
        Ok(())
    })?;
    ensure!(bystanders.versions()? == theirs, "what belongs to others was touched");
    ensure!(uids(&stage.owned_objects()?)? == own, "the platform on stage is not as it was");
    stage.wait_until_ready()
}

pub(super) fn a_quota_is_told_of_and_a_namespace_with_a_platform_in_it_is_gone_within_a_minute(
    stage: &Stage,
) -> Result<()> {
    let namespace = Namespace::begin(stage, PASSING)?;
    let quota = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": QUOTA, "namespace": PASSING},
        "spec": {"hard": {"pods": "0"}},
    });
    stage.cluster.apply(&quota.to_string())?;
    until("the quota holds", TOLD_WITHIN, || {
        let quota = stage.cluster.kubectl_json(["get", "resourcequota", QUOTA, "--namespace", PASSING])?;
        ensure!(quota["status"]["hard"]["pods"] == "0", "{}", quota["status"]);
        Ok(())
    })?;
    let platform = Hollow::begin(stage, NAME, PASSING)?;
    // One is told of by a StatefulSet's events, the other by a Deployment's status.
    for kind in ["MongoDBReady", "ServicesReady"] {
        platform.wait_until_it_says(
            kind,
            "False",
            "QuotaExceeded",
            &[&format!("exceeded quota: {QUOTA}"), "raise the ResourceQuota"],
        )?;
    }
    platform.wait_until_it_says("Stalled", "True", "QuotaExceeded", &[QUOTA])?;
    namespace.delete(Duration::from_mins(1))
}

/// A platform of which nothing runs; it is taken away when this is dropped.
pub(super) struct Hollow<'a> {
    stage: &'a Stage,
    name: &'a str,
    namespace: &'a str,
}

impl<'a> Hollow<'a> {
    pub(super) fn begin(stage: &'a Stage, name: &'a str, namespace: &'a str) -> Result<Self> {
        let document = platform::document(
            "examples/minimal.yaml",
            &json!({
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "host": format!("{name}.example.com"),
                    "deletionPolicy": "Delete",
                    "images": {"registry": REGISTRY},
                },
            }),
        )?;
        // From here on it is taken away again.
        let hollow = Self { stage, name, namespace };
        stage.cluster.kubectl_command(["apply", "--filename", "-"]).input(document.to_string()).execute()?;
        Ok(hollow)
    }

    pub(super) fn change(&self, change: &Value) -> Result<()> {
        let patch = change.to_string();
        self.kubectl(&["patch", "chatplatform", self.name, "--type=merge", "--patch", &patch]).map(drop)
    }

    /// Waits until a condition has this status and reason, and a message that holds all of `words`.
    pub(super) fn wait_until_it_says(&self, kind: &str, status: &str, reason: &str, words: &[&str]) -> Result<()> {
        until(&format!("{kind} is {status}, {reason}"), TOLD_WITHIN, || {
            let platform: Value =
                serde_json::from_str(&self.kubectl(&["get", "chatplatform", self.name, "--output=json"])?)?;
            let found = condition(&platform, kind)?;
            let message = found["message"].as_str().unwrap_or_default();
            let tells = words.iter().all(|word| message.contains(word));
            ensure!(found["status"] == status && found["reason"] == reason && tells, "{found}");
            Ok(())
        })
    }

    fn delete(&self) -> Result<()> {
        self.kubectl(&["delete", "chatplatform", self.name, "--timeout=60s"]).map(drop)
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.stage.cluster.kubectl(arguments.iter().chain(&["--namespace", self.namespace]))
    }
}

impl Drop for Hollow<'_> {
    fn drop(&mut self) {
        // It is gone already, or in nobody's way.
        let _ = self.kubectl(&["delete", "chatplatform", self.name, "--ignore-not-found", "--wait=false"]);
    }
}

/// A namespace; it is taken away when this is dropped, with all that is in it.
pub(super) struct Namespace<'a> {
    stage: &'a Stage,
    name: &'static str,
}

impl<'a> Namespace<'a> {
    pub(super) fn begin(stage: &'a Stage, name: &'static str) -> Result<Self> {
        let namespace = Self { stage, name };
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        stage.cluster.apply(&manifest.to_string())?;
        Ok(namespace)
    }

    /// Waits until it is gone.
    fn delete(&self, limit: Duration) -> Result<()> {
        let limit = format!("--timeout={}s", limit.as_secs());
        self.stage.cluster.kubectl(["delete", "namespace", self.name, &limit]).map(drop)
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        // It is gone already, or in nobody's way.
        let delete = ["delete", "namespace", self.name, "--ignore-not-found", "--wait=false"];
        let _ = self.stage.cluster.kubectl(delete);
    }
}

/// Objects of others, named or labelled as if they were of the neighbour; they are taken away when this is dropped.
struct Bystanders<'a>(&'a Stage);

impl<'a> Bystanders<'a> {
    /// Kind, name, and labels of each.
    fn all() -> [(&'static str, String, Value); 3] {
        [
            ("ConfigMap", format!("{NAME}-notes"), json!({})),
            ("ConfigMap", format!("{NAME}-others"), json!({"app.kubernetes.io/instance": NAME})),
            ("Secret", format!("{NAME}-own"), json!({"app.kubernetes.io/part-of": "chatplatform"})),
        ]
    }

    fn place(stage: &'a Stage) -> Result<Self> {
        let bystanders = Self(stage);
        for (kind, name, labels) in Self::all() {
            let object =
                json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels}, "data": {}});
            stage.apply(&object.to_string())?;
        }
        Ok(bystanders)
    }

    /// Identity and version of each.
    fn versions(&self) -> Result<Vec<(Value, Value)>> {
        Self::all()
            .iter()
            .map(|(kind, name, _)| {
                let found = self.0.kubectl_json(["get", kind, name])?;
                let metadata = &found["metadata"];
                Ok((metadata["uid"].clone(), metadata["resourceVersion"].clone()))
            })
            .collect()
    }
}

impl Drop for Bystanders<'_> {
    fn drop(&mut self) {
        for (kind, name, _) in Self::all() {
            // They are in nobody's way.
            let _ = self.0.kubectl(["delete", kind, &name, "--ignore-not-found", "--wait=false"]);
        }
    }
}

/// Whether an object of the neighbour's is named after it, and chooses its pods alone.
fn apart(object: &Value) -> Result<()> {
    let (kind, name) = (&object["kind"], name_of(object)?);
    ensure!(name.starts_with(&format!("{NAME}-")) || name.starts_with(&format!("data-{NAME}-")), "{kind} {name}");
    let spec = &object["spec"];
    let chosen = match kind.as_str().context("an object has no kind")? {
        "Service" => &spec["selector"],
        "Deployment" | "StatefulSet" | "PodDisruptionBudget" => &spec["selector"]["matchLabels"],
        "NetworkPolicy" => &spec["podSelector"]["matchLabels"],
        _ => return Ok(()),
    };
    ensure!(chosen["app.kubernetes.io/instance"] == NAME, "{kind} {name} chooses {chosen}");
    Ok(())
}

/// The identities of objects that are there to stay.
fn uids(objects: &[Value]) -> Result<BTreeMap<String, Value>> {
    let lasting = objects.iter().filter(|object| object["metadata"]["deletionTimestamp"].is_null());
    let named = lasting.map(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        Ok((format!("{kind} {}", name_of(object)?), object["metadata"]["uid"].clone()))
    });
    named.collect()
}

/// What Secrets hold, as it is encoded there: everything that is too long to be a word, such as a user's name.
fn values(objects: &[Value]) -> BTreeSet<&str> {
    let secrets = objects.iter().filter(|object| object["kind"] == "Secret");
    let values = secrets.filter_map(|secret| secret["data"].as_object()).flat_map(|data| data.values());
    values.filter_map(Value::as_str).filter(|value| value.len() >= 32).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_object_that_chooses_the_pods_of_every_platform_is_not_apart() {
        let policy = |labels: &Value| {
            json!({
                "kind": "NetworkPolicy",
                "metadata": {"name": "neighbour-default-deny"},
                "spec": {"podSelector": {"matchLabels": labels}},
            })
        };
        apart(&policy(&json!({"app.kubernetes.io/instance": "neighbour"}))).unwrap();
        assert!(apart(&policy(&json!({"app.kubernetes.io/managed-by": "chatplatform-operator"}))).is_err());
        assert!(apart(&json!({"kind": "Secret", "metadata": {"name": "acme-chat"}})).is_err());
    }

    #[test]
    fn words_are_no_secrets() {
        let secret = json!({"kind": "Secret", "data": {"user": "b3BlcmF0b3I=", "password": "x".repeat(40)}});
        assert_eq!(values(&[secret]).len(), 1);
        assert!(values(&[json!({"kind": "ConfigMap", "data": {"a": "x".repeat(40)}})]).is_empty());
    }
}
