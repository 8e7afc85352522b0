//! What the service is told from outside; `config.default.toml` holds the defaults.

use std::path::PathBuf;

use runtime::config::{Fault, Log, MongoDb, RabbitMq, Redis, Section, Server, Tokens, faults_of, file_fault};
use runtime::program;
use serde::Deserialize;

use crate::registration::Admission;
use crate::sessions::Lifetime;

/// The settings that hold unless the environment says otherwise.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The settings of the service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Listeners and the stop.
    pub server: Server,
    /// Logs.
    pub log: Log,
    /// Where accounts and sessions are kept.
    pub mongodb: MongoDb,
    /// Where revocations are made known and attempts to log in are counted.
    pub redis: Redis,
    /// Where events go.
    pub rabbitmq: RabbitMq,
    /// How access tokens are issued.
    pub tokens: Tokens,
    /// How secrets of accounts are kept.
    pub account_keys: AccountKeys,
    /// Who makes accounts.
    pub registration: Admission,
    /// How long sessions last.
    pub sessions: Lifetime,
    /// Whether people can be written to.
    pub email: Email,
}

/// `[account_keys]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountKeys {
    /// The key ring that secrets of second steps are encrypted with; read again when it changes.
    pub file: PathBuf,
}

/// `[email]`. Letters themselves are the notification service's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// Whether the platform sends mail. Where it does not, addresses are not verified and forgotten passwords cannot be
    /// reset by mail.
    pub enabled: bool,
}

impl Section for AccountKeys {
    fn faults(&self) -> Vec<Fault> {
        file_fault("file", &self.file).into_iter().collect()
    }
}

impl program::Settings for Settings {
    const NAME: &'static str = "auth";
    const DEFAULTS: &'static str = DEFAULTS;

    fn log(&self) -> Log {
        self.log.clone()
    }
}

impl Section for Settings {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = faults_of(&[
            ("server", &self.server),
            ("log", &self.log),
            ("mongodb", &self.mongodb),
            ("redis", &self.redis),
            ("rabbitmq", &self.rabbitmq),
            ("tokens", &self.tokens),
            ("account_keys", &self.account_keys),
            ("registration", &self.registration),
            ("sessions", &self.sessions),
        ]);
        if self.tokens.signing_keys_file.is_none() {
            faults.push(Fault::new("tokens.signing_keys_file", "must be set to the path of a file"));
        }
        faults
    }
}
