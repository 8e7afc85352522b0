//! Somebody who looks at whoever terminates TLS for the platform: which certificate is shown, and whether connections last.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::Stage;
use super::people::text;

/// The Node program `edge.mjs`; it ends with this.
pub(crate) struct Onlooker {
    client: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    count: u64,
}

impl Onlooker {
    /// Looks at a port of this machine, asking for the platform by its host name.
    pub(crate) fn at(stage: &Stage, port: u16) -> Result<Self> {
        let document = stage.document();
        let host = document["spec"]["host"].as_str().context("the platform has no host")?;
        let mut client = Command::new("node")
            .args(["edge.mjs", &port.to_string(), host])
            .current_dir(stage.packages.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start Node")?;
        let orders = client.stdin.take().context("Node has no standard input")?;
        let answers = BufReader::new(client.stdout.take().context("Node has no standard output")?);
        Ok(Self { client, orders, answers, count: 0 })
    }

    /// The certificate that a new connection is shown, PEM.
    pub(crate) fn certificate(&mut self) -> Result<String> {
        text(&self.order(&json!({"do": "certificate"}))?, "certificate")
    }

    /// Requests something by the connection that all requests share. Tells status and body, and `connection`, which is another number
    /// once the connection is another.
    pub(crate) fn request(&mut self, request: &Value) -> Result<Value> {
        let mut order = request.clone();
        order["do"] = "request".into();
        self.order(&order)
    }

    /// Opens a WebSocket of Engine.IO; answers what the server says first.
    pub(crate) fn open_websocket(&mut self) -> Result<String> {
        text(&self.order(&json!({"do": "upgrade", "path": "/socket.io/?EIO=4&transport=websocket"}))?, "first")
    }

    /// The client itself gives up after a while, so that there is an answer.
    fn order(&mut self, order: &Value) -> Result<Value> {
        self.count += 1;
        let mut order = order.clone();
        order["id"] = self.count.into();
        writeln!(self.orders, "{order}").context("edge.mjs has ended")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).with_context(|| format!("edge.mjs answers {line:?}"))?;
        match answer["error"].as_str() {
            Some(error) => bail!("{}: {error}", order["do"].as_str().unwrap_or_default()),
            None => Ok(answer),
        }
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
