//! A stand-in for Firebase Cloud Messaging and Google's token endpoint, of which there is no emulator: it gives access tokens only to who
//! shows a service account's signature, takes messages only from who has one, and keeps them for tests to read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;

use crate::instance::Instance;
use crate::ports::Port;

/// The program, for Node.js; it needs nothing else.
pub const PROGRAM: &str = include_str!("fcm/server.mjs");

/// The project it knows.
pub const PROJECT: &str = "chatplatform-test";

/// A running stand-in. It forgets everything when it ends, its service account included.
pub struct Fcm {
    url: String,
    _instance: Instance,
    _port: Port,
}

/// What becomes of messages to a registration token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The app is gone from the device.
    Unregistered,
    /// Firebase never gave this token.
    InvalidArgument,
    /// It is another project's.
    SenderIdMismatch,
}

/// How much it has done.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Access tokens given.
    pub tokens: u64,
    /// Assertions not believed.
    pub refused_assertions: u64,
    /// Requests to send, refused ones included.
    pub sends: u64,
}

impl Fcm {
    /// One of one's own.
    pub fn start() -> Result<Self> {
        let port = Port::reserve()?;
        let url = format!("http://{}", port.address());
        let arguments = ["127.0.0.1".to_owned(), port.number().to_string(), url.clone()];
        let command = move |folder: &Path| {
            let mut command = Command::new("node");
            command.arg(folder.join("server.mjs")).args(&arguments);
            command
        };
        let ready = {
            let url = url.clone();
            move || get::<Counts>(&url, "counts").map(drop)
        };
        let mut instance = Instance::new("fcm", command, ready)?;
        fs::write(instance.folder().join("server.mjs"), PROGRAM)?;
        instance.start()?;
        Ok(Self { url, _instance: instance, _port: port })
    }

    /// Its address, for `push.endpoint`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The service account's key, as Google's console gives it out.
    pub fn credentials(&self) -> Result<Value> {
        get(&self.url, "credentials")
    }

    /// Replaces the service account's key: the one before and the access tokens that it got are worth nothing from now on.
    pub fn rotate_credentials(&self) -> Result<Value> {
        self.post("credentials", &json!({}))
    }

    /// The messages taken, oldest first.
    pub fn messages(&self) -> Result<Vec<Value>> {
        get(&self.url, "messages")
    }

    /// The messages taken for one registration token, oldest first.
    pub fn messages_to(&self, token: &str) -> Result<Vec<Value>> {
        Ok(self.messages()?.into_iter().filter(|message| message["token"] == token).collect())
    }

    /// How much it has done.
    pub fn counts(&self) -> Result<Counts> {
        get(&self.url, "counts")
    }

    /// From now on this becomes of messages to `token`.
    pub fn doom(&self, token: &str, fate: Fate) -> Result<()> {
        let name = match fate {
            Fate::Unregistered => "UNREGISTERED",
            Fate::InvalidArgument => "INVALID_ARGUMENT",
            Fate::SenderIdMismatch => "SENDER_ID_MISMATCH",
        };
        self.post("fates", &json!(BTreeMap::from([(token, name)]))).map(drop)
    }

    /// Refuses the next message with this status, and has `Retry-After` say so many seconds, if that is given.
    pub fn refuse_next(&self, status: u16, retry_after: Option<u32>) -> Result<()> {
        let answer = match retry_after {
            Some(seconds) => json!({"status": status, "retryAfter": seconds.to_string()}),
            None => json!({"status": status}),
        };
        self.post("answers", &json!([answer])).map(drop)
    }

    /// Takes the next message, and does not say so.
    pub fn keep_silent_about_next(&self) -> Result<()> {
        self.post("answers", &json!([{"hang": true}])).map(drop)
    }

    /// Access tokens live so long from now on.
    pub fn let_tokens_live(&self, seconds: u32) -> Result<()> {
        self.post("lifetime", &json!(seconds)).map(drop)
    }

    /// Every access token that was given is worth nothing from now on.
    pub fn revoke_tokens(&self) -> Result<()> {
        self.post("revoke", &json!({})).map(drop)
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value> {
        let mut answer = agent().post(format!("{}/control/{what}", self.url)).send_json(body)?;
        answer.body_mut().read_json().context("not JSON")
    }
}

fn get<T: for<'de> Deserialize<'de>>(url: &str, what: &str) -> Result<T> {
    agent().get(format!("{url}/control/{what}")).call()?.body_mut().read_json().with_context(|| format!("no {what}"))
}

fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into()
}
