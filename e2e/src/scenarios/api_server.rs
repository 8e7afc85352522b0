//! The API server, asked by way of one `kubectl proxy`: a hundred questions in the time that three runs of kubectl take.

use anyhow::Result;
use serde_json::{Value, json};

use super::listener::Listener;
use super::rest::{Answer, Rest};
use crate::cluster::Cluster;

/// What `kubectl apply --dry-run=server` asks for: all checks, also for unknown fields, and nothing kept.
const DRY_RUN: &str = "dryRun=All&fieldValidation=Strict";

/// The platforms of a namespace.
pub(crate) struct Platforms {
    rest: Rest,
    path: String,
    // It ends when this does.
    _proxy: Listener,
}

impl Platforms {
    pub(crate) fn of(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let proxy = Listener::start(cluster, &["proxy", "--port=0"], port_of)?;
        let rest = Rest::unencrypted(&format!("http://127.0.0.1:{}", proxy.port));
        let path = format!("/apis/chatplatform.dev/v1alpha1/namespaces/{namespace}/chatplatforms");
        Ok(Self { rest, path, _proxy: proxy })
    }

    /// Makes one, and gives it the status that its document has.
    pub(crate) fn create(&self, document: &Value) -> Result<()> {
        self.rest.post(&self.path, "", document)?.expect(201)?;
        if let Some(status) = document.get("status") {
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            self.patch(&format!("{}/{name}/status", self.path), &json!({"status": status}))?.expect(200)?;
        }
        Ok(())
    }

    /// Why a new one would be refused; none if it would not.
    pub(crate) fn refusal(&self, document: &Value) -> Result<Option<String>> {
        refusal(&self.rest.post(&format!("{}?{DRY_RUN}", self.path), "", document)?)
    }

    /// Why a change of one that is there would be refused; none if it would not.
    pub(crate) fn refusal_of_change(&self, name: &str, change: &Value) -> Result<Option<String>> {
        refusal(&self.patch(&format!("{}/{name}?{DRY_RUN}", self.path), change)?)
    }

    fn patch(&self, path: &str, change: &Value) -> Result<Answer> {
        let kind = [("content-type", "application/merge-patch+json".to_owned())];
        self.rest.send("PATCH", path, &kind, &serde_json::to_vec(change)?)
    }
}

/// The message of a `Status` that says Failure.
fn refusal(answer: &Answer) -> Result<Option<String>> {
    if matches!(answer.status, 200 | 201) {
        return Ok(None);
    }
    let status: Value = serde_json::from_slice(&answer.bytes)?;
    Ok(Some(status["message"].as_str().unwrap_or_default().to_owned()))
}

/// `Starting to serve on 127.0.0.1:40321`
fn port_of(line: &str) -> Option<u16> {
    line.strip_prefix("Starting to serve on ")?.rsplit_once(':')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_what_kubectl_says() {
        assert_eq!(port_of("Starting to serve on 127.0.0.1:40321"), Some(40321));
        assert_eq!(port_of("error: listen tcp 127.0.0.1:0"), None);
    }
}
