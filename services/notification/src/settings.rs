//! Settings of the service. Defaults and explanations stand in `config.default.toml`.

use std::path::PathBuf;

use lettre::message::Mailbox;
use runtime::{
    config::{Fault, Log, MongoDb, RabbitMq, Section, Server, Tokens, faults_of, file_fault},
    program,
};
use serde::Deserialize;

/// The settings that hold unless the environment says otherwise.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Listeners and the drain.
    pub server: Server,
    /// What is logged.
    pub log: Log,
    /// Where notifications and contacts are.
    pub mongodb: MongoDb,
    /// Where events come from.
    pub rabbitmq: RabbitMq,
    /// Whose access tokens are believed.
    pub tokens: Tokens,
    /// The mail server, if any.
    pub email: Email,
    /// The web client.
    pub web: Web,
}

/// The mail server. Without `host` no e-mail is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// Name or address of the server.
    #[serde(default)]
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: Encryption,
    /// Whom e-mails come from: `chat@acme.example` or `Acme Chat <chat@acme.example>`.
    #[serde(default)]
    pub from: Option<String>,
    /// File with the user name, where the server asks for one.
    #[serde(default)]
    pub username_file: Option<PathBuf>,
    /// File with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// How many connections may be open at once.
    pub connections: u32,
    /// An e-mail that could not be sent for so many hours is given up.
    pub give_up_hours: u32,
}

/// How the connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Not at all.
    None,
    /// By STARTTLS, which must succeed (RFC 3207).
    Starttls,
    /// From the first byte (RFC 8314).
    Implicit,
}

/// The web client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// Its address, for links in e-mails.
    #[serde(default)]
    pub url: String,
}

impl program::Settings for Settings {
    const NAME: &'static str = "notification";
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
            ("rabbitmq", &self.rabbitmq),
            ("tokens", &self.tokens),
            ("email", &self.email),
        ]);
        let url = &self.web.url;
        if self.email.host.is_some() && !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
            faults.push(Fault::new("web.url", "must be the http or https URL of the web client where e-mail is sent"));
        }
        faults
    }
}

impl Section for Email {
    fn faults(&self) -> Vec<Fault> {
        if self.host.is_none() {
            return Vec::new();
        }
        let mut faults = Vec::new();
        match self.from.as_deref().map(str::parse::<Mailbox>) {
            None => faults.push(Fault::new("from", "must be set where email.host is")),
            Some(Err(error)) => faults.push(Fault::new("from", format!("is not an address: {error}"))),
            Some(Ok(_)) => {}
        }
        match (&self.username_file, &self.password_file) {
            (Some(_), None) => faults.push(Fault::new("password_file", "must be set where email.username_file is")),
            (None, Some(_)) => faults.push(Fault::new("username_file", "must be set where email.password_file is")),
            _ => {}
        }
        for (key, path) in [("username_file", &self.username_file), ("password_file", &self.password_file)] {
            faults.extend(path.as_ref().and_then(|path| file_fault(key, path)));
        }
        if self.port == 0 {
            faults.push(Fault::new("port", "must be 1 to 65535"));
        }
        if !(1..=64).contains(&self.connections) {
            faults.push(Fault::new("connections", "must be 1 to 64"));
        }
        if self.give_up_hours == 0 {
            faults.push(Fault::new("give_up_hours", "must be at least 1"));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn faults(change: impl FnOnce(&mut Email)) -> Vec<String> {
        let defaults: toml::Table = DEFAULTS.parse().unwrap();
        let mut email: Email = defaults["email"].clone().try_into().unwrap();
        change(&mut email);
        email.faults().into_iter().map(|fault| fault.key).collect()
    }

    #[test]
    fn without_a_mail_server_nothing_more_is_asked_for() {
        assert_eq!(faults(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn a_mail_server_needs_a_sender_and_whole_credentials() {
        assert_eq!(faults(|email| email.host = Some("mail".into())), ["from"]);
        let half = |email: &mut Email| {
            email.host = Some("mail".into());
            email.from = Some("Acme Chat <chat@acme.example>".into());
            email.username_file = Some("/dev/null".into());
        };
        assert_eq!(faults(half), ["password_file"]);
        let nobody = |email: &mut Email| {
            email.host = Some("mail".into());
            email.from = Some("nobody".into());
        };
        assert_eq!(faults(nobody), ["from"]);
    }
}
