//! The platform in its cluster, by way of kubectl.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::wait::until;
use super::{collector, mail};
use crate::cluster::Cluster;
use crate::platform::{self, OPERATOR_NAMESPACE, READY_LIMIT};
use crate::progress::tail;

/// A platform that is, or is to be, in a cluster.
pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    /// The platform's name.
    pub(crate) platform: String,
    /// What it is made from.
    document: RefCell<Value>,
}

impl Site {
    /// The platform of `examples/minimal.yaml`, reachable from this machine, with its e-mail and its traces going to what catches them
    /// beside it. Nothing is applied yet.
    pub(crate) fn new(cluster: Cluster, namespace: &str) -> Result<Self> {
        let document = minimal(namespace)?;
        let name = document["metadata"]["name"].as_str().context("the platform has no name")?.to_owned();
        Ok(Self { cluster, namespace: namespace.to_owned(), platform: name, document: RefCell::new(document) })
    }

    /// The document that a stage begins with.
    pub(crate) fn minimal(&self) -> Result<Value> {
        minimal(&self.namespace)
    }

    /// What the platform is made from.
    pub(crate) fn document(&self) -> Value {
        self.document.borrow().clone()
    }

    /// Another document of the same name, for when the platform of the one before is gone. Nothing is applied yet.
    pub(crate) fn plan(&self, document: Value) {
        self.document.replace(document);
    }

    /// Makes the namespace, and in it what catches mail and traces.
    pub(crate) fn prepare(&self) -> Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        self.cluster.apply(&namespace.to_string())?;
        for (manifest, deployment) in
            [(mail::MANIFEST, "deployment/maildev"), (collector::MANIFEST, "deployment/collector")]
        {
            self.apply(manifest)?;
            self.kubectl(["rollout", "status", deployment, "--timeout=120s"])?;
        }
        Ok(())
    }

    /// Applies the document and waits until the platform is Ready; answers how long that took.
    pub(crate) fn apply_platform(&self) -> Result<Duration> {
        let began = Instant::now();
        self.apply(&self.document.borrow().to_string())?;
        self.wait_until_ready()?;
        Ok(began.elapsed())
    }

    /// Whether what is there may become what the document says.
    pub(crate) fn would_be_accepted(&self) -> bool {
        self.dry_run(&self.document.borrow().to_string()).is_ok()
    }

    /// `kubectl apply` that changes nothing: only whether it would be accepted.
    pub(crate) fn dry_run(&self, manifest: &str) -> Result<()> {
        let namespace = format!("--namespace={}", self.namespace);
        let run = self.cluster.kubectl_command(["apply", "--dry-run=server", "--filename", "-", &namespace]);
        run.input(manifest).execute()
    }

    /// Applies the document with changes laid over it, which the next one that is applied takes back.
    pub(crate) fn change(&self, overlay: &Value) -> Result<()> {
        let mut document = self.document.borrow().clone();
        json_patch::merge(&mut document, overlay);
        self.apply(&document.to_string())
    }

    /// Applies changes that stay, as there is no way back from them.
    pub(crate) fn change_for_good(&self, overlay: &Value) -> Result<()> {
        json_patch::merge(&mut self.document.borrow_mut(), overlay);
        self.change(&json!({}))
    }

    /// `kubectl apply` of a manifest, as a person does it.
    pub(crate) fn apply(&self, manifest: &str) -> Result<()> {
        let namespace = format!("--namespace={}", self.namespace);
        self.cluster.kubectl_command(["apply", "--filename", "-", &namespace]).input(manifest).execute()
    }

    /// Waits until the status says Ready of this generation, and every pod that should be ready is.
    pub(crate) fn wait_until_ready(&self) -> Result<()> {
        self.wait_until_ready_within(READY_LIMIT)
    }

    /// The same with a limit of one's own.
    pub(crate) fn wait_until_ready_within(&self, limit: Duration) -> Result<()> {
        until("the platform is Ready", limit, || {
            // Who watches is told at once, and takes nothing from those that are to become ready. What came of it is looked at below.
            let _ = self.kubectl(["wait", "chatplatform", &self.platform, "--for=condition=Ready", "--timeout=5s"]);
            let platform = self.read_platform()?;
            let conditions = platform["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
            let ready =
                conditions.iter().find(|condition| condition["type"] == "Ready").context("no condition Ready")?;
            ensure!(ready["status"] == "True", "{}", ready["message"]);
            ensure!(platform["status"]["observedGeneration"] == platform["metadata"]["generation"], "an old status");
            let workloads = self.kubectl_json(["get", "statefulsets,deployments", "--selector", &self.selector()])?;
            workloads["items"].as_array().map_or(&[][..], Vec::as_slice).iter().try_for_each(be_complete)
        })
    }

    /// Waits until the operator has looked at the newest generation of the document, whatever it thinks of it.
    pub(crate) fn wait_until_observed(&self) -> Result<()> {
        until("the operator has looked at the document", READY_LIMIT, || {
            let platform = self.read_platform()?;
            ensure!(platform["status"]["observedGeneration"] == platform["metadata"]["generation"], "an old status");
            Ok(())
        })
    }

    /// Whether there is a platform of this name, of whatever document.
    pub(crate) fn is_taken(&self) -> Result<bool> {
        Ok(!self.kubectl(["get", "chatplatform", &self.platform, "--ignore-not-found", "--output=name"])?.is_empty())
    }

    pub(crate) fn read_platform(&self) -> Result<Value> {
        self.kubectl_json(["get", "chatplatform", &self.platform])
    }

    /// Every object in the namespace that the operator has made for the platform, of whatever kind.
    pub(crate) fn owned_objects(&self) -> Result<Vec<Value>> {
        self.objects_of(&self.platform)
    }

    /// The same of another platform in the namespace.
    pub(crate) fn objects_of(&self, platform: &str) -> Result<Vec<Value>> {
        let kinds = self.cluster.kubectl(["api-resources", "--namespaced", "--verbs=list", "--output=name"])?;
        let kinds: Vec<&str> = kinds
            .lines()
            // Events and measurements are news, not objects that somebody keeps.
            .filter(|kind| !kind.starts_with("events") && !kind.contains("metrics.k8s.io") && *kind != "endpoints")
            .collect();
        let listed = self.kubectl_json(["get", &kinds.join(","), "--selector", &selector(platform)])?;
        Ok(listed["items"].as_array().cloned().unwrap_or_default())
    }

    /// The objects of a kind that belong to a component.
    pub(crate) fn of_component(&self, kind: &str, component: &str) -> Result<Vec<Value>> {
        let label = format!("app.kubernetes.io/name={component},app.kubernetes.io/instance={}", self.platform);
        let listed = self.kubectl_json(["get", kind, "--selector", &label, "--sort-by=.metadata.name"])?;
        Ok(listed["items"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until an object has taken the place of the one of that name that had this identity.
    pub(crate) fn wait_for_another(&self, kind: &str, name: &str, uid: &Value, limit: Duration) -> Result<()> {
        until(&format!("another {kind} {name}"), limit, || {
            let found = self.kubectl_json(["get", kind, name])?;
            ensure!(found["metadata"]["uid"] != *uid, "it is still the old one");
            Ok(())
        })
    }

    /// A value of a Secret.
    pub(crate) fn secret(&self, name: &str, key: &str) -> Result<String> {
        let template = format!("--output=go-template={{{{index .data {key:?} | base64decode}}}}");
        self.kubectl(["get", "secret", name, &template])
    }

    /// The log of a service's pods since they started.
    pub(crate) fn logs_of(&self, component: &str) -> Result<String> {
        let label = format!("app.kubernetes.io/name={component},app.kubernetes.io/instance={}", self.platform);
        self.kubectl(["logs", "--selector", &label, "--tail=-1", "--all-containers"])
    }

    /// `kubectl` in the platform's namespace.
    pub(crate) fn kubectl<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.cluster.kubectl_command(arguments).arg("--namespace").arg(&self.namespace).output()
    }

    /// What a command prints that is run in a container of a pod.
    pub(crate) fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<String> {
        let kubectl = ["exec", pod, "--namespace", &self.namespace, "--container", container, "--"];
        self.cluster.kubectl(kubectl.iter().chain(command))
    }

    /// `kubectl ... -o json` in the platform's namespace.
    pub(crate) fn kubectl_json<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Value> {
        let text = self.kubectl(arguments.into_iter().chain(["--output=json"]))?;
        serde_json::from_str(&text).context("kubectl did not answer JSON")
    }

    /// What helps to find out why something failed.
    pub(crate) fn evidence(&self) -> String {
        const CONDITIONS: &str =
            "--output=jsonpath={range .items[*].status.conditions[*]}{.type}={.status} {.message}{\"\\n\"}{end}";
        let looks: [&[&str]; 4] = [
            &["get", "chatplatform", CONDITIONS],
            &["get", "pods", "--output=wide"],
            &["get", "events", "--sort-by=.metadata.creationTimestamp"],
            &["logs", "--selector=app.kubernetes.io/name=chatplatform-operator", "--tail=25"],
        ];
        let shown = looks.map(|look| {
            let namespace = if look[0] == "logs" { OPERATOR_NAMESPACE } else { &self.namespace };
            let said = self.cluster.kubectl(look.iter().chain(&["--namespace", namespace]));
            let said = said.unwrap_or_else(|error| format!("{error:#}"));
            format!("--- kubectl {} {}\n{}", look[0], look[1], tail(&said, 25))
        });
        shown.join("\n")
    }

    /// The label selector of everything that the operator has made for the platform.
    pub(crate) fn selector(&self) -> String {
        selector(&self.platform)
    }
}

/// The platform of `examples/minimal.yaml`, reachable from this machine, with its e-mail and its traces going to what catches them beside
/// it.
fn minimal(namespace: &str) -> Result<Value> {
    let email = json!({"host": mail::HOST, "port": mail::PORT, "tls": "None", "from": "Chat <chat@example.com>"});
    let mut document = platform::document("examples/minimal.yaml", &platform::exposed_on_this_machine())?;
    document["spec"]["email"] = email;
    document["spec"]["tracing"] = json!({"endpoint": collector::ENDPOINT});
    document["metadata"]["namespace"] = namespace.into();
    Ok(document)
}

fn selector(platform: &str) -> String {
    format!("app.kubernetes.io/managed-by=chatplatform-operator,app.kubernetes.io/instance={platform}")
}

/// Every pod of a workload runs its newest template and is ready.
fn be_complete(workload: &Value) -> Result<()> {
    let (spec, status) = (&workload["spec"], &workload["status"]);
    ensure!(
        status["readyReplicas"] == spec["replicas"]
            && status["updatedReplicas"] == spec["replicas"]
            && status["observedGeneration"] == workload["metadata"]["generation"],
        "{} is not complete",
        workload["metadata"]["name"]
    );
    Ok(())
}
