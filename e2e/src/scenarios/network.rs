//! Who reaches whom. It takes a cluster whose network enforces network policies: kind's own does, that of `e2e/offline` does not.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::faults::pods_of;
use super::wait::until;

/// A pod that has nothing to do with the platform.
const NAME: &str = "stranger";
/// What everybody reaches.
const EDGE: (&str, u16) = ("edge", 8443);
/// What nobody reaches but the platform and its operator.
const CLOSED: [(&str, u16); 10] = [
    ("mongodb", 27017),
    ("redis", 6379),
    ("rabbitmq", 5672),
    ("rabbitmq", 15672),
    ("object-storage", 7070),
    ("gateway", 8080),
    ("auth", 8080),
    ("chat", 8080),
    ("media", 8080),
    ("notification", 8080),
];
const STARTS_WITHIN: Duration = Duration::from_mins(1);
/// A network learns of a new pod a moment after it runs.
const REACHES_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn a_pod_that_is_not_of_the_platform_reaches_no_server(stage: &Stage) -> Result<()> {
    stage.wait_until_ready()?;
    let _gone = Gone(stage);
    let redis = &pods_of(stage, "redis")?[0];
    stage.apply(&stranger(&redis["spec"]["containers"][0]["image"]).to_string())?;
    let limit = format!("--timeout={}s", STARTS_WITHIN.as_secs());
    stage.kubectl(["wait", "--for=condition=Ready", &format!("pod/{NAME}"), &limit])?;
    // Else it would be nothing special that it reaches nobody.
    until("a stranger reaches the edge", REACHES_WITHIN, || {
        ensure!(reaches(stage, EDGE)?, "it does not");
        Ok(())
    })?;
    let mut reached = Vec::new();
    for target in CLOSED {
        if reaches(stage, target)? {
            reached.push(format!("{} at {}", target.0, target.1));
        }
    }
    if reached.len() == CLOSED.len() {
        bail!("a stranger reaches everything: this cluster's network enforces no network policies");
    }
    ensure!(reached.is_empty(), "a stranger reaches {}", reached.join(", "));
    stage.wait_until_ready()
}

/// Whether the stranger can open a connection to a pod of a component.
fn reaches(stage: &Stage, (component, port): (&str, u16)) -> Result<bool> {
    let pod = &pods_of(stage, component)?[0];
    let address = pod["status"]["podIP"].as_str().with_context(|| format!("{component} has no address"))?;
    let script =
        format!("if timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null; then echo yes; else echo no; fi");
    match stage.exec(NAME, NAME, &["bash", "-c", &script])?.trim() {
        "yes" => Ok(true),
        "no" => Ok(false),
        said => bail!("the stranger says {said:?}"),
    }
}

/// A pod with a shell, of an image that the nodes have.
fn stranger(image: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": NAME,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "infinity"],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// Takes the stranger away when dropped, however the scenario ended.
struct Gone<'a>(&'a Stage);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        // It is in nobody's way.
        let _ = self.0.kubectl(["delete", "pod", NAME, "--ignore-not-found", "--wait=false"]);
    }
}
