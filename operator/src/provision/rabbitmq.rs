//! `RabbitMQ` by its management API: virtual host, a user per service with rights on its own names, the exchange of events.

mod api;

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use self::api::Api;
use super::{Error, Provisioning, Server, State, bounded};
use crate::secrets::{Login, Material, Names, rabbitmq_password_hash};

/// The topic exchange that every event goes through.
pub const EXCHANGE: &str = "chat.events";
const MANAGEMENT_PORT: u16 = 15672;
const HASHING: &str = "rabbit_password_hashing_sha256";

/// A broker as it shall be.
#[derive(Clone, Debug)]
pub struct Target {
    /// URL of the management API, without a path.
    pub management_url: String,
    /// The operator's own user, an administrator.
    pub operator: Login,
    /// Name of the virtual host.
    pub virtual_host: String,
    /// A user per service.
    pub users: Vec<Login>,
}

impl Target {
    /// The broker of a platform.
    #[must_use]
    pub fn new(names: &Names, material: &Material) -> Self {
        Self {
            management_url: format!("http://{}:{MANAGEMENT_PORT}", names.service("rabbitmq")),
            operator: material.rabbitmq.operator.clone(),
            virtual_host: Names::VIRTUAL_HOST.to_owned(),
            users: material.rabbitmq.users.clone(),
        }
    }
}

/// Makes the broker agree with `target`.
#[must_use]
pub fn provision(target: &Target) -> Provisioning<'_> {
    bounded(Server::RabbitMq, run(target))
}

async fn run(target: &Target) -> Result<State, Error> {
    let api = Api::new(&target.management_url, &target.operator)?;
    let mut changes = Vec::new();
    let overview: Overview = api.get("tell its version", "overview").await?;
    virtual_host(&api, target, &mut changes).await?;
    users(&api, target, &mut changes).await?;
    permissions(&api, target, &mut changes).await?;
    exchange(&api, target, &mut changes).await?;
    let nodes: Vec<Node> = api.get("tell its nodes", "nodes").await?;
    let Alarms { alarms } = api.check("tell its alarms", "health/checks/alarms").await?;
    let (ready, message) = health(&nodes, &alarms);
    Ok(State { ready, version: Some(overview.rabbitmq_version), message, changes })
}

#[derive(Deserialize)]
struct Overview {
    rabbitmq_version: String,
}

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

/// What a user may configure, write and read, each a regular expression over names.
#[derive(Deserialize, PartialEq, Eq, Debug)]
struct Permission {
    configure: String,
    write: String,
    read: String,
}

#[derive(Deserialize)]
struct Granted {
    user: String,
    #[serde(flatten)]
    permission: Permission,
}

#[derive(Deserialize)]
struct Exchange {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    durable: bool,
}

#[derive(Deserialize)]
struct Node {
    name: String,
    running: bool,
}

/// What keeps a node from taking messages.
#[derive(Deserialize)]
struct Alarm {
    node: String,
    resource: String,
}

#[derive(Default, Deserialize)]
struct Alarms {
    #[serde(default)]
    alarms: Vec<Alarm>,
}

async fn virtual_host(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    let path = format!("vhosts/{}", target.virtual_host);
    if !api.exists("tell its virtual hosts", &path).await? {
        api.put("create the virtual host", &path, &json!({})).await?;
        changes.push(format!("created virtual host {}", target.virtual_host));
    }
    Ok(())
}

async fn users(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
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

async fn permissions(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
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

impl Permission {
    fn of(login: &Login, operator: &Login) -> Self {
        let (configure, write, read) = match login.user.as_str() {
            user if user == operator.user => (".*", ".*", ".*"),
            "auth" | "chat" => (r"^chat\.events$", r"^chat\.events$", "^$"),
            "notification" => (r"^notification\..*$", r"^notification\..*$", r"^(notification\..*|chat\.events)$"),
            _ => ("^$", "^$", "^$"),
        };
        Self { configure: configure.to_owned(), write: write.to_owned(), read: read.to_owned() }
    }
}

async fn exchange(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    let path = format!("exchanges/{}", target.virtual_host);
    // The whole list: a broker that keeps no statistics (management_agent.disable_metrics_collector) fails to tell of one exchange.
    let found: Vec<Exchange> = api.get("tell its exchanges", &path).await?;
    match found.into_iter().find(|exchange| exchange.name == EXCHANGE) {
        Some(exchange) if exchange.kind == "topic" && exchange.durable => {}
        Some(exchange) => {
            return Err(Error::Conflict {
                server: Server::RabbitMq,
                address: target.management_url.clone(),
                fault: format!("has an exchange {EXCHANGE} of type {}, durable {}", exchange.kind, exchange.durable),
                remedy: format!("Delete the exchange {EXCHANGE}; it is made again as a durable topic exchange"),
            });
        }
        None => {
            let body = json!({"type": "topic", "durable": true});
            api.put("declare the exchange", &format!("{path}/{EXCHANGE}"), &body).await?;
            changes.push(format!("declared exchange {EXCHANGE}"));
        }
    }
    Ok(())
}

fn health(nodes: &[Node], alarms: &[Alarm]) -> (bool, String) {
    let running = nodes.iter().filter(|node| node.running).count();
    let mut message = format!("{running} of {} nodes run", nodes.len());
    for node in nodes.iter().filter(|node| !node.running) {
        message = format!("{message}; {} is down", node.name);
    }
    for Alarm { node, resource } in alarms {
        let cure = match resource.as_str() {
            "memory" => "raise spec.rabbitmq.resources.limits.memory",
            "disk" => "raise spec.rabbitmq.storage.size",
            _ => "look at its log",
        };
        message = format!("{message}; {node} blocks publishers for want of {resource}: {cure}");
    }
    (running > 0 && running == nodes.len() && alarms.is_empty(), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, running: bool) -> Node {
        Node { name: name.to_owned(), running }
    }

    #[test]
    fn a_node_that_is_down_or_blocks_publishers_is_not_ready() {
        assert_eq!(health(&[node("rabbit@a", true)], &[]), (true, "1 of 1 nodes run".to_owned()));
        assert!(!health(&[], &[]).0);
        let nodes = [node("rabbit@a", true), node("rabbit@b", false)];
        assert_eq!(health(&nodes, &[]), (false, "1 of 2 nodes run; rabbit@b is down".to_owned()));
        let alarm = Alarm { node: "rabbit@a".to_owned(), resource: "memory".to_owned() };
        let (ready, message) = health(&nodes[..1], &[alarm]);
        assert!(!ready);
        assert!(message.contains("rabbit@a blocks publishers for want of memory: raise spec."), "{message}");
    }
}
