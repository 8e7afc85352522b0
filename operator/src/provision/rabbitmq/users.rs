//! Users, and what each may do: configure, write and read names that match a regular expression, and publish events of its own kinds.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::api::Api;
use super::{EXCHANGE, Target};
use crate::provision::{Error, Server};
use crate::secrets::{Login, rabbitmq_password_hash};

const HASHING: &str = "rabbit_password_hashing_sha256";
const NOTHING: &str = "^$";
const EVERYTHING: &str = ".*";

#[derive(Deserialize)]
struct User {
    name: String,
    password_hash: String,
    hashing_algorithm: String,
    tags: Tags,
}

/// A list since 3.9, a text with commas before.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tags {
    List(Vec<String>),
    Text(String),
}

impl Tags {
    fn is_empty(&self) -> bool {
        match self {
            Self::List(tags) => tags.is_empty(),
            Self::Text(tags) => tags.is_empty(),
        }
    }
}

/// Makes a user per service, and removes the one that everybody knows.
pub(super) async fn users(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    let found: Vec<User> = api.get("tell its users", "users").await?;
    for login in &target.users {
        let hash = rabbitmq_password_hash(login.password.expose_secret());
        let same = |user: &User| {
            user.name == login.user
                && user.password_hash == hash
                && user.hashing_algorithm == HASHING
                && user.tags.is_empty()
        };
        if !found.iter().any(same) {
            let body = json!({"password_hash": hash, "hashing_algorithm": HASHING, "tags": ""});
            api.put("change a user", &format!("users/{}", login.user), &body).await?;
            changes.push(format!("set user {}", login.user));
        }
    }
    if target.operator.user != "guest" && found.iter().any(|user| user.name == "guest") {
        api.delete("remove the user guest", "users/guest").await?;
        changes.push("removed user guest, whose password is known to everybody".to_owned());
    }
    Ok(())
}

/// Removes users of before, and with them their connections and rights, and makes sure that they cannot log in any more.
pub(super) async fn refuse(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    if target.refused.is_empty() {
        return Ok(());
    }
    let found: Vec<User> = api.get("tell its users", "users").await?;
    for login in target.refused.iter().filter(|login| found.iter().any(|user| user.name == login.user)) {
        api.delete("remove a user", &format!("users/{}", login.user)).await?;
        changes.push(format!("removed user {}", login.user));
    }
    for login in &target.refused {
        if api.accepts(login).await? {
            return Err(Error::Failed {
                server: Server::RabbitMq,
                address: target.management_url.clone(),
                action: format!("refuse user {}, whose credential is one of before", login.user),
                cause: "it still logs in".to_owned(),
            });
        }
    }
    Ok(())
}

/// What a user may configure, write and read, each a regular expression over names of exchanges and queues.
#[derive(Deserialize, PartialEq, Eq, Debug)]
struct Permission {
    configure: String,
    write: String,
    read: String,
}

impl Permission {
    fn of(login: &Login, operator: &Login) -> Self {
        let (configure, write, read) = match login.service() {
            user if user == operator.user => (EVERYTHING, EVERYTHING, EVERYTHING),
            "auth" => (r"^chat\.events$", r"^chat\.events$", NOTHING),
            "chat" => (
                r"^chat\.(events|accounts(\..+)?)$",
                r"^chat\.(events|accounts(\..+)?)$",
                r"^chat\.(events|accounts(\..+)?)$",
            ),
            "media" => (r"^media\..*$", r"^media\..*$", r"^(media\..*|chat\.events)$"),
            "notification" => (r"^notification\..*$", r"^notification\..*$", r"^(notification\..*|chat\.events)$"),
            _ => (NOTHING, NOTHING, NOTHING),
        };
        Self { configure: configure.to_owned(), write: write.to_owned(), read: read.to_owned() }
    }
}

#[derive(Deserialize)]
struct Granted {
    user: String,
    #[serde(flatten)]
    permission: Permission,
}

/// Limits each user to names of its own.
pub(super) async fn permissions(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    let path = format!("vhosts/{}/permissions", target.virtual_host);
    let found: Vec<Granted> = api.get("tell its permissions", &path).await?;
    let found: BTreeMap<_, _> = found.into_iter().map(|granted| (granted.user, granted.permission)).collect();
    for login in target.users.iter().chain([&target.operator]) {
        let wanted = Permission::of(login, &target.operator);
        if found.get(&login.user) != Some(&wanted) {
            let body = json!({"configure": wanted.configure, "write": wanted.write, "read": wanted.read});
            let path = format!("permissions/{}/{}", target.virtual_host, login.user);
            api.put("change a permission", &path, &body).await?;
            changes.push(format!("set permissions of user {}", login.user));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Topic {
    user: String,
    exchange: String,
    write: String,
    read: String,
}

/// Kinds of events that a user may publish and subscribe to: the exchange is everybody's, the events are not.
fn kinds(user: &str) -> (&'static str, &'static str) {
    match user {
        "auth" => (r"^(user|session)\..+$", NOTHING),
        "chat" => (r"^(message|conversation)\..+$", r"^user\.deleted$"),
        "media" => (NOTHING, r"^user\.(deleted|updated)$"),
        "notification" => (NOTHING, EVERYTHING),
        _ => (NOTHING, NOTHING),
    }
}

/// Limits each user to events of its own.
pub(super) async fn topics(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    let path = format!("vhosts/{}/topic-permissions", target.virtual_host);
    let found: Vec<Topic> = api.get("tell its topic permissions", &path).await?;
    for login in &target.users {
        let (write, read) = kinds(login.service());
        let same = |topic: &Topic| {
            topic.user == login.user && topic.exchange == EXCHANGE && topic.write == write && topic.read == read
        };
        if !found.iter().any(same) {
            let body = json!({"exchange": EXCHANGE, "write": write, "read": read});
            let path = format!("topic-permissions/{}/{}", target.virtual_host, login.user);
            api.put("change a topic permission", &path, &body).await?;
            changes.push(format!("set the events of user {}", login.user));
        }
    }
    Ok(())
}
