//! An SMTP server (maildev) that keeps what it receives, for tests to read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use ureq::Agent;

use crate::instance::Instance;
use crate::ports::Port;
use crate::process::run;
use crate::{cache, shared};

pub(crate) const ADDRESS: &str = "CHATPLATFORM_TEST_SMTP_ADDRESS";
pub(crate) const MESSAGES_URL: &str = "CHATPLATFORM_TEST_SMTP_MESSAGES_URL";
const VERSION: &str = "2.2.1";

/// An SMTP server without TLS and authentication. It forgets its mail when it ends.
pub struct Smtp {
    address: String,
    messages_url: String,
    instance: Option<Instance>,
    _ports: Vec<Port>,
}

/// An e-mail that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Address of the sender.
    pub from: String,
    /// Addresses of the recipients.
    pub to: Vec<String>,
    /// Subject, decoded.
    pub subject: String,
    /// Body as plain text, decoded.
    pub text: String,
    /// Body as HTML, decoded; empty when there is none.
    pub html: String,
}

impl Smtp {
    /// The server that all tests share. Send to an address of one's own.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Smtp> = OnceLock::new();
        shared::get_or_start(&SERVER, || match (shared::announced(ADDRESS), shared::announced(MESSAGES_URL)) {
            (Some(address), Some(messages_url)) => {
                Ok(Self { address, messages_url, instance: None, _ports: Vec::new() })
            }
            _ => Self::start(),
        })
    }

    /// A server of one's own.
    pub fn start() -> Result<Self> {
        let program = program()?;
        let (smtp, web) = (Port::reserve()?, Port::reserve()?);
        let (smtp_port, web_port) = (smtp.number().to_string(), web.number().to_string());
        let command = move |folder: &Path| {
            let mut command = Command::new("node");
            command
                .arg(&program)
                .args(["--ip", "127.0.0.1", "--smtp", &smtp_port, "--web-ip", "127.0.0.1", "--web", &web_port])
                .arg("--mail-directory")
                .arg(folder.join("mail"));
            command
        };
        let messages_url = format!("http://{}/email", web.address());
        let ready = {
            let (address, url) = (smtp.address(), messages_url.clone());
            move || {
                std::net::TcpStream::connect(&address)?;
                received(&url).map(drop)
            }
        };
        let mut instance = Instance::new("maildev", command, ready)?;
        instance.start()?;
        Ok(Self { address: smtp.address(), messages_url, instance: Some(instance), _ports: vec![smtp, web] })
    }

    /// Host to send mail to.
    #[must_use]
    pub fn host(&self) -> &str {
        self.address.split_once(':').map_or(self.address.as_str(), |(host, _)| host)
    }

    /// Port to send mail to.
    ///
    /// # Panics
    /// When the environment announced a server without a port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self.address.split_once(':').and_then(|(_, port)| port.parse().ok()) {
            Some(port) => port,
            None => panic!("{ADDRESS} must be host:port, not {:?}", self.address),
        }
    }

    /// `host:port`
    #[must_use]
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// URL that lists what arrived, as maildev's JSON.
    #[must_use]
    pub fn messages_url(&self) -> String {
        self.messages_url.clone()
    }

    /// Everything that has arrived, oldest first.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        match received(&self.messages_url) {
            Ok(messages) => messages,
            Err(error) => panic!("the SMTP server does not list its mail: {error:#}"),
        }
    }

    /// Waits until mail to `address` has arrived, and returns all of it; nothing when the limit is over.
    #[must_use]
    pub fn wait_for(&self, address: &str, limit: Duration) -> Vec<Message> {
        let deadline = Instant::now() + limit;
        loop {
            let mut messages = self.messages();
            messages.retain(|message| message.to.iter().any(|to| to.eq_ignore_ascii_case(address)));
            if !messages.is_empty() || Instant::now() > deadline {
                return messages;
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server in order (SIGTERM), and waits until it has ended.
    pub fn stop(&mut self) -> Result<()> {
        self.instance.as_mut().map_or(Ok(()), Instance::stop)
    }

    /// Ends the server as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(instance) = &mut self.instance {
            instance.kill();
        }
    }

    /// Starts the server again on the same ports, without mail.
    pub fn restart(&mut self) -> Result<()> {
        self.instance.as_mut().map_or(Ok(()), Instance::restart)
    }
}

#[derive(Deserialize)]
struct Received {
    #[serde(default)]
    from: Vec<Address>,
    #[serde(default)]
    to: Vec<Address>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    html: String,
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

fn received(url: &str) -> Result<Vec<Message>> {
    let agent: Agent = Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
    let received: Vec<Received> = agent.get(url).call()?.body_mut().read_json().context("not a list of e-mails")?;
    Ok(received
        .into_iter()
        .map(|mail| Message {
            from: mail.from.into_iter().map(|from| from.address).next().unwrap_or_default(),
            to: mail.to.into_iter().map(|to| to.address).collect(),
            subject: mail.subject,
            text: mail.text.trim_end().to_owned(),
            html: mail.html,
        })
        .collect())
}

fn program() -> Result<PathBuf> {
    let folder = cache::installed("maildev", VERSION, |folder| {
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
            .arg(folder)
            .arg(format!("maildev@{VERSION}")))?;
        Ok(())
    })?;
    Ok(folder.join("node_modules/maildev/bin/maildev"))
}
