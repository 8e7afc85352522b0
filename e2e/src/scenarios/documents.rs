//! What a database holds, read as its raw documents.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::Stage;
use super::wait::until;
use crate::cluster::free_port;
use crate::command::Run;

/// What a search saw.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    /// Documents in each collection.
    pub(super) collections: BTreeMap<String, usize>,
    /// Texts that are in a document, as they are or in base64 or hexadecimal.
    pub(super) found: Vec<Found>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub(super) collection: String,
    pub(super) text: String,
}

/// Looks for texts in every document of one service's database, with that service's own credentials.
pub(super) fn search(stage: &Stage, service: &str, texts: &[String]) -> Result<Seen> {
    let forward = Forward::to(stage, &format!("pod/{}-mongodb-0", stage.platform), 27017)?;
    let uri = stage.secret(&format!("{}-{service}", stage.platform), "mongodb-uri")?;
    let order = json!({"uri": local(&uri, forward.port)?, "database": service, "texts": texts});
    let output = until("reading the database", Duration::from_secs(30), || {
        Run::new("node").arg("documents.mjs").in_directory(stage.packages.folder()).input(order.to_string()).output()
    })?;
    serde_json::from_str(&output).context("the reader of documents answers nonsense")
}

/// The same server and credentials, by way of a port of this machine.
fn local(uri: &str, port: u16) -> Result<String> {
    let single = match uri.split_once('@').and_then(|(_, rest)| rest.split_once('/')) {
        // A seed list of several hosts is no URL.
        Some((hosts, _)) => uri.replacen(hosts, "host", 1),
        None => uri.to_owned(),
    };
    let mut url = Url::parse(&single).context("the Secret holds no MongoDB URI")?;
    url.set_host(Some("127.0.0.1"))?;
    url.set_port(Some(port)).ok().context("the URI takes no port")?;
    url.set_query(Some("authSource=admin&directConnection=true"));
    Ok(url.into())
}

/// `kubectl port-forward`, for as long as this lives.
struct Forward {
    process: Child,
    port: u16,
}

impl Forward {
    fn to(stage: &Stage, target: &str, port: u16) -> Result<Self> {
        let local = free_port()?;
        let process = Command::new(stage.cluster.kubectl_program())
            .env("KUBECONFIG", stage.cluster.kubeconfig())
            .args(["port-forward", "--namespace", &stage.namespace, target, &format!("{local}:{port}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start kubectl port-forward")?;
        Ok(Self { process, port: local })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_uri_of_the_cluster_is_reached_by_a_local_port() {
        let uri =
            "mongodb://chat:p%40ss@a-0.a.default.svc:27017,a-1.a.default.svc:27017/?replicaSet=rs0&authSource=admin";
        assert_eq!(
            local(uri, 5000).unwrap(),
            "mongodb://chat:p%40ss@127.0.0.1:5000/?authSource=admin&directConnection=true"
        );
    }
}
