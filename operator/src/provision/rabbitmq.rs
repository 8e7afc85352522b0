//! `RabbitMQ` by its management API: virtual host, a user per service with rights on its own names, the exchange of events, policies;
//! and how its nodes and queues do. Of a broker that somebody else runs only a channel is opened.

mod api;
mod external;
mod health;
mod policies;
mod users;

use serde::Deserialize;
use serde_json::json;

use self::api::Api;
pub use self::external::external;
use super::{Error, Provisioning, Server, State, bounded};
use crate::build::Component;
use crate::secrets::{Credentials, Login, Names, RabbitMq};

/// The topic exchange that every event goes through.
pub const EXCHANGE: &str = "chat.events";
const MANAGEMENT_PORT: u16 = 15672;

/// A broker as it shall be.
#[derive(Clone, Debug)]
pub struct Target {
    /// URL of the management API, without a path.
    pub management_url: String,
    /// The operator's own user, an administrator.
    pub operator: Login,
    /// Name of the virtual host.
    pub virtual_host: String,
    /// Users, each with the rights of its service.
    pub users: Vec<Login>,
    /// Users of before, who are to be refused.
    pub refused: Vec<Login>,
    /// Names of its nodes, by ordinal.
    pub nodes: Vec<String>,
}

impl Target {
    /// The broker of a platform.
    #[must_use]
    pub fn new(names: &Names, secrets: &RabbitMq, credentials: &Credentials) -> Self {
        Self {
            management_url: format!("http://{}:{MANAGEMENT_PORT}", names.service("rabbitmq")),
            operator: secrets.operator.clone(),
            virtual_host: Names::VIRTUAL_HOST.to_owned(),
            users: credentials.accepted(Component::RabbitMq),
            refused: credentials.refused(Component::RabbitMq),
            nodes: names.rabbitmq_nodes(),
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
    users::users(&api, target, &mut changes).await?;
    users::permissions(&api, target, &mut changes).await?;
    exchange(&api, target, &mut changes).await?;
    users::topics(&api, target, &mut changes).await?;
    users::refuse(&api, target, &mut changes).await?;
    policies::policies(&api, target, &mut changes).await?;
    let health = health::health(&api, target).await?;
    Ok(State {
        ready: health.ready,
        version: Some(overview.rabbitmq_version),
        message: health.message,
        changes,
        members: health.members,
        users_agree: true,
    })
}

#[derive(Deserialize)]
struct Overview {
    rabbitmq_version: String,
}

#[derive(Deserialize)]
struct Exchange {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    durable: bool,
}

async fn virtual_host(api: &Api, target: &Target, changes: &mut Vec<String>) -> Result<(), Error> {
    let path = format!("vhosts/{}", target.virtual_host);
    if !api.exists("tell its virtual hosts", &path).await? {
        api.put("create the virtual host", &path, &json!({})).await?;
        changes.push(format!("created virtual host {}", target.virtual_host));
    }
    Ok(())
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
