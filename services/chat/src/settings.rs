//! The settings of the chat service; `docs/reference/wiring.md` says where they come from.

use std::path::PathBuf;

use runtime::config::{
    Fault, Log, MongoDb, RabbitMq, Redis, Section, Server, Tokens, faults_of, file_fault, url_fault,
};
use runtime::program;
use serde::Deserialize;

/// The settings that hold unless the environment says otherwise.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Listeners and the stop.
    pub server: Server,
    /// Logs.
    pub log: Log,
    /// Where conversations and messages are kept.
    pub mongodb: MongoDb,
    /// Where replicas meet.
    pub redis: Redis,
    /// Where events go.
    pub rabbitmq: RabbitMq,
    /// How access tokens are verified.
    pub tokens: Tokens,
    /// How texts are encrypted.
    pub message_keys: MessageKeys,
    /// Where messages are looked for.
    pub search: Search,
    /// Real time.
    pub sockets: Sockets,
}

/// `[message_keys]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageKeys {
    /// The ring of key-encryption keys. It is read again when it changes.
    pub file: PathBuf,
}

/// `[search]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// What finds messages by the tokens of their words.
    pub backend: Backend,
    /// URL of `OpenSearch`, without path.
    pub endpoint: String,
    /// Name of the alias under which the index is there.
    pub index: String,
    /// File with the user name, where `OpenSearch` asks for one.
    #[serde(default)]
    pub username_file: Option<PathBuf>,
    /// File with the password. A `ca.crt` beside it holds the authorities that are trusted, in PEM; those of the system without it.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// What finds messages by the tokens of their words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// `MongoDB`, by an index of its own.
    MongoDb,
    /// `OpenSearch`, which is fed from there.
    OpenSearch,
}

/// `[sockets]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sockets {
    /// Largest packet or polling body that a client may send, in bytes.
    pub max_payload_bytes: u64,
    /// Packets that may wait for a socket to read them; a socket that lags further behind is disconnected and resumes.
    pub buffered_packets: usize,
    /// How often a socket is asked whether it still lives.
    pub ping_interval_seconds: u64,
    /// How long it may take to say so.
    pub ping_timeout_seconds: u64,
}

/// The Socket.IO library logs whole packets when asked to be talkative, and packets hold what people say.
const QUIET: &str = ",socketioxide=info,engineioxide=info,socketioxide_core=info";

impl program::Settings for Settings {
    const NAME: &'static str = "chat";
    const DEFAULTS: &'static str = DEFAULTS;

    fn log(&self) -> Log {
        Log { filter: format!("{}{QUIET}", self.log.filter) }
    }
}

impl Section for Settings {
    fn faults(&self) -> Vec<Fault> {
        faults_of(&[
            ("server", &self.server),
            ("log", &self.log),
            ("mongodb", &self.mongodb),
            ("redis", &self.redis),
            ("rabbitmq", &self.rabbitmq),
            ("tokens", &self.tokens),
            ("message_keys", &self.message_keys),
            ("search", &self.search),
            ("sockets", &self.sockets),
        ])
    }
}

impl Section for MessageKeys {
    fn faults(&self) -> Vec<Fault> {
        Vec::from_iter(file_fault("file", &self.file))
    }
}

impl Section for Search {
    fn faults(&self) -> Vec<Fault> {
        if self.backend == Backend::MongoDb {
            return Vec::new();
        }
        let mut faults = Vec::from_iter(url_fault("endpoint", &self.endpoint));
        if self.index.is_empty() {
            faults.push(Fault::new("index", "must be set to the name of an alias"));
        }
        match (&self.username_file, &self.password_file) {
            (Some(username), Some(password)) => {
                faults.extend(file_fault("username_file", username));
                faults.extend(file_fault("password_file", password));
            }
            (None, None) => {}
            _ => faults.push(Fault::new("password_file", "must come with username_file, and that with it")),
        }
        faults
    }
}

impl Section for Sockets {
    fn faults(&self) -> Vec<Fault> {
        // The longest text of four-byte characters, written as JSON escapes, and what goes around it.
        const SMALLEST: u64 = 8_000 * 12 + 4_096;
        let mut faults = Vec::new();
        if self.max_payload_bytes < SMALLEST {
            faults.push(Fault::new(
                "max_payload_bytes",
                format!("must be at least {SMALLEST}, to hold the longest message"),
            ));
        }
        if self.buffered_packets < 64 {
            faults.push(Fault::new("buffered_packets", "must be at least 64"));
        }
        for (key, value) in
            [("ping_interval_seconds", self.ping_interval_seconds), ("ping_timeout_seconds", self.ping_timeout_seconds)]
        {
            if value == 0 {
                faults.push(Fault::new(key, "must be at least 1"));
            }
        }
        faults
    }
}
