//! The stand-in for Firebase Cloud Messaging beside the platform: the one that the services' own tests have.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use servers::fcm::{PROGRAM, PROJECT};

use super::Stage;
use super::wait::until;

/// Its Service and its port.
const NAME: &str = "firebase";
const PORT: u16 = 8080;

/// The Secret with the service account's key.
const SECRET: &str = "firebase-key";

/// Starts it, and keeps its service account's key in a Secret; answers what `spec.push` is to say.
pub(super) fn start(stage: &Stage) -> Result<Value> {
    stage.apply(&manifest().to_string())?;
    stage.kubectl(["rollout", "status", &format!("deployment/{NAME}"), "--timeout=120s"])?;
    let key = control(stage, "credentials")?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET},
        "stringData": {"service-account.json": key.to_string()},
    });
    stage.apply(&secret.to_string())?;
    Ok(json!({
        "projectId": PROJECT,
        "credentialsSecretRef": {"name": SECRET},
        "endpoint": format!("http://{NAME}:{PORT}"),
    }))
}

/// Removes it, and the key.
pub(super) fn remove(stage: &Stage) -> Result<()> {
    let what = format!("deployment/{NAME},service/{NAME},configmap/{NAME},secret/{SECRET}");
    let what: Vec<&str> = what.split(',').collect();
    stage.kubectl(["delete", "--ignore-not-found"].into_iter().chain(what)).map(drop)
}

/// The pushes to a registration token, once there is one.
pub(super) fn wait_for(stage: &Stage, token: &str, limit: Duration) -> Result<Vec<Value>> {
    until(&format!("a push to {token}"), limit, || {
        let found = pushes(stage, token)?;
        ensure!(!found.is_empty(), "there is none");
        Ok(found)
    })
}

/// The pushes to a registration token until now.
pub(super) fn pushes(stage: &Stage, token: &str) -> Result<Vec<Value>> {
    let all = control(stage, "messages")?;
    let all = all.as_array().context("no list of messages")?;
    Ok(all.iter().filter(|message| message["token"] == token).cloned().collect())
}

fn control(stage: &Stage, what: &str) -> Result<Value> {
    let path = format!("/api/v1/namespaces/{}/services/{NAME}:http/proxy/control/{what}", stage.namespace);
    let answer = stage.cluster.kubectl(["get", "--raw", &path])?;
    serde_json::from_str(&answer).with_context(|| format!("no {what}"))
}

/// As restricted as what the operator makes. The image is one that is there already and has Node.
fn manifest() -> Value {
    let labels = json!({"app": NAME});
    let (port, url) = (PORT.to_string(), format!("http://{NAME}:{PORT}"));
    let command = ["node", "/firebase/server.mjs", "0.0.0.0", port.as_str(), url.as_str()];
    let container = json!({
        "name": NAME,
        "image": "docker.io/maildev/maildev:2.2.1",
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/control/counts", "port": "http"}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "program", "mountPath": "/firebase"}],
    });
    let pod = json!({
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": NAME}}],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"server.mjs": PROGRAM}},
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": PORT}]},
        },
    ]})
}
