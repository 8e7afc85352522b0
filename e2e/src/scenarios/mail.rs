//! The mail catcher beside the platform.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Stage;
use super::wait::until;

/// Its Service, and what `spec.email` says.
pub(super) const HOST: &str = "maildev";
pub(super) const PORT: u16 = 1025;

/// maildev, as restricted as what the operator makes.
pub(super) const MANIFEST: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: maildev}
spec:
  selector: {matchLabels: {app: maildev}}
  template:
    metadata: {labels: {app: maildev}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: maildev
          image: docker.io/maildev/maildev:2.2.1
          imagePullPolicy: IfNotPresent
          ports: [{name: smtp, containerPort: 1025}, {name: http, containerPort: 1080}]
          readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: maildev}
spec:
  selector: {app: maildev}
  ports: [{name: smtp, port: 1025}, {name: http, port: 1080}]
";

/// The first e-mail to `address` whose subject has `subject` in it, once it has arrived.
pub(super) fn wait_for(stage: &Stage, address: &str, subject: &str, limit: Duration) -> Result<Value> {
    let path = format!("/api/v1/namespaces/{}/services/maildev:http/proxy/email", stage.namespace);
    until(&format!("an e-mail to {address} about {subject:?}"), limit, || {
        let listed = stage.cluster.kubectl(["get", "--raw", &path])?;
        let mails: Vec<Value> = serde_json::from_str(&listed).context("the mail catcher does not list its mail")?;
        let is_about = |mail: &Value| mail["subject"].as_str().is_some_and(|found| found.contains(subject));
        let found = mails.iter().find(|mail| mail["to"][0]["address"] == address && is_about(mail));
        ensure!(found.is_some(), "{} e-mails, none to {address}", mails.len());
        Ok(found.cloned().unwrap_or_default())
    })
}
