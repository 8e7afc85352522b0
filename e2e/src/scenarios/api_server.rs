//! The API server, asked by way of one `kubectl proxy`: a hundred questions in the time that three runs of kubectl take.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::listener::Listener;
use super::rest::{Answer, Rest};
use crate::cluster::Cluster;

/// What `kubectl apply --dry-run=server` asks for: all checks, also for unknown fields, and nothing kept.
const DRY_RUN: &str = "dryRun=All&fieldValidation=Strict";

/// The API server itself; paths begin with `/api`.
pub(crate) struct ApiServer {
    rest: Rest,
    // It ends when this does.
    _proxy: Listener,
}

impl ApiServer {
    pub(crate) fn of(cluster: &Cluster) -> Result<Self> {
        let proxy = Listener::start(cluster, &["proxy", "--port=0"], port_of)?;
        let rest = Rest::unencrypted(&format!("http://127.0.0.1:{}", proxy.port));
        Ok(Self { rest, _proxy: proxy })
    }

    /// An object, or a list of them.
    pub(crate) fn read(&self, path: &str) -> Result<Value> {
        self.rest.get(path, "")?.expect(200)
    }

    /// What is no JSON.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        let answer = self.rest.get(path, "")?;
        ensure!(answer.status == 200, "{path} answers {}: {}", answer.status, String::from_utf8_lossy(&answer.bytes));
        Ok(String::from_utf8(answer.bytes)?)
    }

    /// Makes an object; `path` is that of its list.
    pub(crate) fn create(&self, path: &str, object: &Value) -> Result<()> {
        self.rest.post(path, "", object)?.expect(201).map(drop)
    }
}

/// The platforms of a namespace.
pub(crate) struct Platforms {
    server: ApiServer,
    path: String,
}

impl Platforms {
    pub(crate) fn of(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let path = format!("/apis/chatplatform.dev/v1alpha1/namespaces/{namespace}/chatplatforms");
        Ok(Self { server: ApiServer::of(cluster)?, path })
    }

    /// Makes one, and gives it the status that its document has.
    pub(crate) fn create(&self, document: &Value) -> Result<()> {
        self.server.create(&self.path, document)?;
        if let Some(status) = document.get("status") {
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            self.patch(&format!("{}/{name}/status", self.path), &json!({"status": status}))?.expect(200)?;
        }
        Ok(())
    }

    /// Why a new one would be refused; none if it would not.
    pub(crate) fn refusal(&self, document: &Value) -> Result<Option<String>> {
        refusal(&self.server.rest.post(&format!("{}?{DRY_RUN}", self.path), "", document)?)
    }

    /// Why a change of one that is there would be refused; none if it would not.
    pub(crate) fn refusal_of_change(&self, name: &str, change: &Value) -> Result<Option<String>> {
        refusal(&self.patch(&format!("{}/{name}?{DRY_RUN}", self.path), change)?)
    }

    fn patch(&self, path: &str, change: &Value) -> Result<Answer> {
        let kind = [("content-type", "application/merge-patch+json".to_owned())];
        self.server.rest.send("PATCH", path, &kind, &serde_json::to_vec(change)?)
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
