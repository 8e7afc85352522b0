//! Redis that somebody else runs: whether our login is good, and nothing else.

use std::collections::HashMap;

use contract::redis_url::{RedisUrl, RedisUrlError, SentinelUrl};
use redis::{Client, RedisResult, TlsCertificates, Value, cmd};
use secrecy::ExposeSecret;

use super::session::{Session, who_is_master};
use super::standing::Master;
use crate::provision::{Error, Problem, Provisioning, Server, State, bounded};
use crate::secrets::Connection;

const KEY: &str = "key url of the Secret that spec.redis.external.connectionSecretRef names";

/// Logs in by the URL and asks for an answer.
#[must_use]
pub fn external(connection: &Connection) -> Provisioning<'_> {
    bounded(Server::Redis, async { run(connection).await.map_err(theirs) })
}

async fn run(connection: &Connection) -> Result<State, Error> {
    let authority = connection.authority.as_deref();
    let url: RedisUrl = connection.uri.expose_secret().parse().map_err(|fault: RedisUrlError| misspelt(&fault))?;
    let (mut session, place) = match &url {
        RedisUrl::Server(url) => log_in(url, authority).await?,
        RedisUrl::Sentinels(url) => by_sentinels(url, authority).await?,
    };
    session.ask::<()>("answer PING", &cmd("PING")).await?;
    // Services write. Proxies that do not know this command lead to a master, or nowhere.
    let about: HashMap<String, Value> = session.ask("tell its role", &cmd("HELLO")).await.unwrap_or_default();
    let text = |name| about.get(name).and_then(|value| redis::from_redis_value::<String>(value.clone()).ok());
    let is_replica = text("role").is_some_and(|role| role != "master");
    Ok(State {
        ready: !is_replica,
        message: if is_replica {
            format!(
                "{place} is a replica, and services have to write: name the master in {KEY}, or sentinels that know it"
            )
        } else {
            format!("{place} answers")
        },
        version: text("version"),
        ..State::default()
    })
}

/// Logs in to the master that the first sentinel names who answers.
async fn by_sentinels(url: &SentinelUrl, authority: Option<&str>) -> Result<(Session, String), Error> {
    let mut silence = None;
    for (_, sentinel) in url.sentinels() {
        let answer = async {
            let (mut session, address) = log_in(&sentinel, authority).await?;
            let master: Master = session.ask("name the master", &who_is_master(url.master())).await?;
            Ok((master, address))
        };
        match answer.await {
            Ok((Some((host, port)), _)) => return log_in(&url.server(&host, port), authority).await,
            Ok((None, address)) => {
                return Err(Error::Conflict {
                    server: Server::Redis,
                    address,
                    fault: format!("is a sentinel that knows no master {}", url.master()),
                    remedy: format!("Correct the name of the master in {KEY}"),
                });
            }
            Err(error) => {
                silence.get_or_insert(error);
            }
        }
    }
    // A URL without a sentinel does not parse.
    Err(silence.unwrap_or_else(|| misspelt(&"names no sentinel")))
}

async fn log_in(url: &str, authority: Option<&str>) -> Result<(Session, String), Error> {
    let client = client(url, authority).map_err(|error| misspelt(&error))?;
    let info = client.get_connection_info();
    let (address, user) = (info.addr().to_string(), info.redis_settings().username().unwrap_or("default").to_owned());
    Ok((Session::log_in(address.clone(), user, Ok(client)).await?, address))
}

fn client(url: &str, authority: Option<&str>) -> RedisResult<Client> {
    match authority {
        Some(authority) if url.starts_with("rediss://") => {
            Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(authority.into()) })
        }
        _ => Client::open(url),
    }
}

fn misspelt(fault: &dyn std::fmt::Display) -> Error {
    Error::Conflict {
        server: Server::Redis,
        address: "the URL of its Secret".to_owned(),
        fault: format!("cannot be looked for: {fault}"),
        remedy: format!("Correct {KEY}"),
    }
}

/// The cures for our own servers, whose credentials we have made, are none here.
fn theirs(error: Error) -> Error {
    let (server, address, problem, fault) = match error {
        Error::Unreachable { server, address, cause } => {
            (server, address, Problem::Unreachable, format!("does not answer: {cause}"))
        }
        Error::AccessDenied { server, address, user, cause } => {
            (server, address, Problem::AccessDenied, format!("refuses user {user}: {cause}"))
        }
        Error::Failed { server, address, action, cause } => {
            (server, address, Problem::Failed, format!("failed to {action}: {cause}"))
        }
        other => return other,
    };
    let remedy = match problem {
        Problem::AccessDenied => format!("Correct user and password in {KEY}"),
        Problem::Unreachable | Problem::Failed => {
            format!("Look whether it runs, and whether its address is right in {KEY}")
        }
    };
    Error::Theirs { server, address, problem, fault, remedy }
}
