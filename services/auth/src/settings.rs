//! What the service is told from outside; `config.default.toml` holds the defaults.

use runtime::config::{Fault, Log, MongoDb, RabbitMq, Redis, Section, Server, Tokens, faults_of};
use runtime::program;
use serde::Deserialize;

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
        ]);
        if self.tokens.signing_keys_file.is_none() {
            faults.push(Fault::new("tokens.signing_keys_file", "must be set to the path of a file"));
        }
        faults
    }
}
