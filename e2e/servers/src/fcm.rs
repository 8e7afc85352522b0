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

use crate::authority::{Authority, Identity};
use crate::instance::Instance;
use crate::ports::Port;

/// The program, for Node.js; it needs nothing else.
pub const PROGRAM: &str = include_str!("fcm/server.mjs");

/// Files of its certificate, where it has one.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// The project it knows.
pub const PROJECT: &str = "chatplatform-test";

/// A running stand-in. It forgets everything when it ends, its service account included.
pub struct Fcm {
    /// Where tests see and say.
    control: String,
    url: String,
    _instance: Instance,
    _ports: Vec<Port>,
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
        Self::launch(None)
    }

    /// One of one's own that speaks TLS, with a certificate of `authority`.
    pub fn start_with_tls(authority: &Authority) -> Result<Self> {
        Self::launch(Some(&authority.issue()?))
    }

    fn launch(identity: Option<&Identity>) -> Result<Self> {
        let mut ports = vec![Port::reserve()?];
        let control = format!("http://{}", ports[0].address());
        let mut arguments = vec!["127.0.0.1".to_owned(), ports[0].number().to_string(), control.clone()];
        if identity.is_some() {
            let port = Port::reserve()?;
            arguments[2] = format!("https://{}", port.address());
            arguments.extend([port.number().to_string(), CERTIFICATE.to_owned(), KEY.to_owned()]);
            ports.push(port);
        }
        let url = arguments[2].clone();
        let command = move |folder: &Path| {
            let mut command = Command::new("node");
            command.current_dir(folder).arg("server.mjs").args(&arguments);
            command
        };
        let ready = {
            let control = control.clone();
            move || get::<Counts>(&control, "counts").map(drop)
        };
        let mut instance = Instance::new("fcm", command, ready)?;
        fs::write(instance.folder().join("server.mjs"), PROGRAM)?;
        if let Some(identity) = identity {
            fs::write(instance.folder().join(CERTIFICATE), &identity.certificate)?;
            fs::write(instance.folder().join(KEY), &identity.key)?;
        }
        instance.start()?;
        Ok(Self { control, url, _instance: instance, _ports: ports })
    }

    /// Its address, for `push.endpoint`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The service account's key, as Google's console gives it out.
    pub fn credentials(&self) -> Result<Value> {
        get(&self.control, "credentials")
    }

    /// Replaces the service account's key: the one before and the access tokens that it got are worth nothing from now on.
    pub fn rotate_credentials(&self) -> Result<Value> {
        self.post("credentials", &json!({}))
    }

    /// The messages taken, oldest first.
    pub fn messages(&self) -> Result<Vec<Value>> {
        get(&self.control, "messages")
    }

    /// The messages taken for one registration token, oldest first.
    pub fn messages_to(&self, token: &str) -> Result<Vec<Value>> {
        Ok(self.messages()?.into_iter().filter(|message| message["token"] == token).collect())
    }

    /// How much it has done.
    pub fn counts(&self) -> Result<Counts> {
        get(&self.control, "counts")
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
        let mut answer = agent().post(format!("{}/control/{what}", self.control)).send_json(body)?;
        answer.body_mut().read_json().context("not JSON")
    }
}

fn get<T: for<'de> Deserialize<'de>>(url: &str, what: &str) -> Result<T> {
    agent().get(format!("{url}/control/{what}")).call()?.body_mut().read_json().with_context(|| format!("no {what}"))
}

fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into()
}
