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
    /// Push, if any.
    pub push: Push,
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

/// Push by Firebase Cloud Messaging. Without `project_id` nothing is pushed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// The Firebase project.
    #[serde(default)]
    pub project_id: Option<String>,
    /// File with the key of a service account of the project, as Google's console gives it out.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// URL of the interface, without path.
    pub endpoint: String,
    /// How many notifications are pushed at once.
    pub workers: u32,
    /// A notification that could not be pushed for so many minutes is given up.
    pub give_up_minutes: u32,
}

/// The web client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// Its address, for links in e-mails and pushes.
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
            ("push", &self.push),
        ]);
        let is_sent = self.email.host.is_some() || self.push.project_id.is_some();
        if is_sent && !is_url(&self.web.url) {
            let message = "must be the http or https URL of the web client where e-mail or push is sent";
            faults.push(Fault::new("web.url", message));
        }
        faults
    }
}

fn is_url(text: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme))
}

/// 6 to 30 lower-case letters, digits and dashes, beginning with a letter and ending with none of the dashes
/// (<https://cloud.google.com/resource-manager/docs/creating-managing-projects>).
fn is_project_id(text: &str) -> bool {
    (6..=30).contains(&text.len())
        && text.starts_with(|char: char| char.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl Section for Push {
    fn faults(&self) -> Vec<Fault> {
        let Some(project) = &self.project_id else { return Vec::new() };
        let mut faults = Vec::new();
        if !is_project_id(project) {
            let message = "must be the id of a Firebase project: 6 to 30 lower-case letters, digits and dashes";
            faults.push(Fault::new("project_id", message));
        }
        match &self.credentials_file {
            None => faults.push(Fault::new("credentials_file", "must be set where push.project_id is")),
            Some(path) => faults.extend(file_fault("credentials_file", path)),
        }
        if !is_url(&self.endpoint) {
            faults.push(Fault::new("endpoint", "must be an http or https URL"));
        }
        if !(1..=64).contains(&self.workers) {
            faults.push(Fault::new("workers", "must be 1 to 64"));
        }
        if self.give_up_minutes == 0 {
            faults.push(Fault::new("give_up_minutes", "must be at least 1"));
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
    fn push_needs_a_project_and_its_key() {
        let faults = |change: fn(&mut Push)| {
            let defaults: toml::Table = DEFAULTS.parse().unwrap();
            let mut push: Push = defaults["push"].clone().try_into().unwrap();
            change(&mut push);
            push.faults().into_iter().map(|fault| fault.key).collect::<Vec<_>>()
        };
        assert_eq!(faults(|_| {}), Vec::<String>::new());
        assert_eq!(faults(|push| push.project_id = Some("acme-chat-1".into())), ["credentials_file"]);
        let wrong = |push: &mut Push| {
            push.project_id = Some("Acme".into());
            push.credentials_file = Some("/dev/null".into());
            push.endpoint = "fcm".into();
        };
        assert_eq!(faults(wrong), ["project_id", "endpoint"]);
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
