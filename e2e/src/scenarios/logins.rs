//! What a service logs in to its servers with, as it is at a moment, and whether they still let that in.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::forward::{Forward, Login};
use super::{Stage, redis, replica_set};
use crate::command::Run;

const AMQP: u16 = 5672;

/// The logins of the chat service, which has one to each server.
pub(super) struct Logins {
    mongodb: Login,
    redis: String,
    rabbitmq: String,
}

/// What a server says to a login.
#[derive(Debug, Deserialize)]
struct Answer {
    /// Its refusal; none where it lets it in.
    refused: Option<String>,
}

impl Logins {
    /// Those that stand in the service's Secret now.
    pub(super) fn take(stage: &Stage) -> Result<Self> {
        let secret = format!("{}-chat", stage.platform);
        Ok(Self {
            mongodb: Login::mongodb(stage, "chat")?,
            redis: stage.secret(&secret, "redis-url")?,
            rabbitmq: stage.secret(&secret, "rabbitmq-uri")?,
        })
    }

    /// Which servers let them in.
    pub(super) fn accepted_by(&self, stage: &Stage) -> Result<Vec<&'static str>> {
        let mongodb = Forward::to(stage, &format!("pod/{}", replica_set::primary(stage)?), replica_set::PORT)?;
        let redis = Forward::to(stage, &format!("pod/{}", redis::master(stage)?), redis::PORT)?;
        let rabbitmq = Forward::to(stage, &format!("pod/{}-rabbitmq-0", stage.platform), AMQP)?;
        let logins = [
            ("mongodb", self.mongodb.to_one(mongodb.port)?),
            ("redis", at(&self.redis, redis.port)?),
            ("rabbitmq", at(&self.rabbitmq, rabbitmq.port)?),
        ];
        let mut accepted = Vec::new();
        for (server, uri) in logins {
            let order = json!({"server": server, "uri": uri});
            let run = Run::new("node").arg("login.mjs").in_directory(stage.packages.folder()).input(order.to_string());
            let answer: Answer = serde_json::from_str(&run.output()?).context("login.mjs answers nonsense")?;
            if answer.refused.is_none() {
                accepted.push(server);
            }
        }
        Ok(accepted)
    }
}

/// The same login by way of a port of this machine. A list of Sentinels stands for the server that is master.
fn at(uri: &str, port: u16) -> Result<String> {
    let (scheme, rest) = uri.split_once("://").context("the Secret holds no URI")?;
    let (user, rest) = rest.split_once('@').context("the URI names no user")?;
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    let (scheme, path) = if scheme.starts_with("redis") { ("redis", "0") } else { (scheme, path) };
    Ok(Url::parse(&format!("{scheme}://{user}@localhost:{port}/{path}"))?.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_login_is_tried_by_a_port_of_this_machine() {
        assert_eq!(at("redis://chat:pw@acme-redis.team.svc:6379/0", 7).unwrap(), "redis://chat:pw@localhost:7/0");
        let sentinels = "redis+sentinel://chat:pw@a:26379,b:26379/chatplatform/0";
        assert_eq!(at(sentinels, 7).unwrap(), "redis://chat:pw@localhost:7/0");
        let broker = "amqp://chat-2:pw@acme-rabbitmq.team.svc:5672/chatplatform";
        assert_eq!(at(broker, 7).unwrap(), "amqp://chat-2:pw@localhost:7/chatplatform");
    }
}
