//! Socket.IO by the official client, which runs in Node.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::Stage;

/// Longer than everything that the client itself waits for.
const LIMIT: Duration = Duration::from_mins(2);

/// One person's connection.
pub(crate) struct Socket {
    client: Child,
    orders: ChildStdin,
    answers: Receiver<Value>,
    count: u64,
}

impl Socket {
    /// Connects with a token and the client's default transports.
    pub(crate) fn connect(stage: &Stage, token: &str) -> Result<Self> {
        let mut socket = Self::start(stage)?;
        socket.order(&json!({"do": "connect", "url": stage.rest.url(), "token": token}))?;
        Ok(socket)
    }

    /// Connects with a token and stays with polling, as behind a proxy that lets nothing else through. The client keeps no cookies.
    pub(crate) fn polling(stage: &Stage, token: &str) -> Result<Self> {
        let mut socket = Self::start(stage)?;
        let order = json!({"do": "connect", "url": stage.rest.url(), "token": token, "transports": ["polling"]});
        socket.order(&order)?;
        Ok(socket)
    }

    /// The reason for which a connection with `token` is refused.
    pub(crate) fn refusal(stage: &Stage, token: &str) -> Result<String> {
        match Self::connect(stage, token) {
            Ok(_) => bail!("the connection was accepted"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// Connects again after [`Socket::disconnect`].
    pub(crate) fn reconnect(&mut self) -> Result<()> {
        self.order(&json!({"do": "connect"})).map(drop)
    }

    pub(crate) fn disconnect(&mut self) -> Result<()> {
        self.order(&json!({"do": "disconnect"})).map(drop)
    }

    /// Emits one event and answers its acknowledgement.
    pub(crate) fn emit(&mut self, event: &str, data: &Value) -> Result<Value> {
        Ok(self.order(&json!({"do": "emit", "event": event, "data": data}))?["answer"].take())
    }

    /// Emits without waiting between, then answers all acknowledgements.
    pub(crate) fn burst(&mut self, event: &str, list: &[Value]) -> Result<Vec<Value>> {
        list_of(self.order(&json!({"do": "burst", "event": event, "list": list, "timeout": 60_000}))?, "answers")
    }

    /// Everything received of one event since the start, once it is at least `count`.
    pub(crate) fn wait(&mut self, event: &str, count: usize) -> Result<Vec<Value>> {
        list_of(self.order(&json!({"do": "wait", "event": event, "count": count, "timeout": 30_000}))?, "received")
    }

    /// The transport in use, such as `websocket`.
    pub(crate) fn transport(&mut self) -> Result<String> {
        super::people::text(&self.order(&json!({"do": "state"}))?, "transport")
    }

    /// How often it has been connected, the client's own reconnections included.
    pub(crate) fn connections(&mut self) -> Result<u64> {
        self.order(&json!({"do": "state"}))?["connections"].as_u64().context("the client does not count connections")
    }

    fn start(stage: &Stage) -> Result<Self> {
        let mut client = Command::new("node")
            .arg("socket.mjs")
            .current_dir(stage.packages.folder())
            .env("NODE_EXTRA_CA_CERTS", stage.authority_file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start Node")?;
        let orders = client.stdin.take().context("Node has no standard input")?;
        let output = client.stdout.take().context("Node has no standard output")?;
        let (sender, answers) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for answer in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(answer).is_err() {
                    break;
                }
            }
        });
        Ok(Self { client, orders, answers, count: 0 })
    }

    fn order(&mut self, order: &Value) -> Result<Value> {
        self.count += 1;
        let mut order = order.clone();
        order["id"] = self.count.into();
        writeln!(self.orders, "{order}").context("the Socket.IO client has ended")?;
        loop {
            let answer = self.answers.recv_timeout(LIMIT).context("the Socket.IO client does not answer")?;
            if answer["id"] != self.count {
                continue;
            }
            if let Some(error) = answer["error"].as_str() {
                bail!("{}: {error} {}", order["do"].as_str().unwrap_or_default(), answer["refusal"]);
            }
            return Ok(answer);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

fn list_of(mut answer: Value, field: &str) -> Result<Vec<Value>> {
    match answer[field].take() {
        Value::Array(list) => Ok(list),
        other => bail!("{field} is not a list: {other}"),
    }
}
