//! What a database holds, read as its raw documents.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Stage;
use super::forward::{Forward, Login};
use super::replica_set;
use super::wait::until;
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
    let pod = format!("{}-mongodb-0", stage.platform);
    let seen = ask(stage, service, &pod, "documents.mjs", json!({"texts": texts}))?;
    serde_json::from_value(seen).context("the reader of documents answers nonsense")
}

/// How many documents of a collection of one service's database fit a filter, as the member in `pod` knows them.
pub(super) fn count(stage: &Stage, service: &str, pod: &str, collection: &str, filter: &Value) -> Result<u64> {
    let counted = ask(stage, service, pod, "count.mjs", json!({"collection": collection, "filter": filter}))?;
    counted["count"].as_u64().context("the counter of documents answers nonsense")
}

/// Runs a program of `e2e/client` with a service's login to its own database.
fn ask(stage: &Stage, service: &str, pod: &str, program: &str, mut order: Value) -> Result<Value> {
    let login = Login::mongodb(stage, service)?;
    let output = until("reading the database", Duration::from_secs(30), || {
        let forward = Forward::to(stage, &format!("pod/{pod}"), replica_set::PORT)?;
        order["uri"] = login.to_one(forward.port)?.into();
        order["database"] = service.into();
        Run::new("node").arg(program).in_directory(stage.packages.folder()).input(order.to_string()).output()
    })?;
    serde_json::from_str(&output).with_context(|| format!("{program} answers nonsense"))
}
