//! Redis: a user per service with rights on its own names.
//!
//! Differences are written into the running server (`ACL SETUSER`, effective at once); the file `users.acl` of the Secret carries
//! the same users into its next start.

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, Value, cmd};
use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use secrecy::ExposeSecret;

use super::{Error, PATIENCE, Provisioning, Server, State, bounded, with_causes};
use crate::secrets::{Login, Material, Names, RedisRules, redis_password_hash};

/// A Redis server as it shall be.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The operator's own user.
    pub operator: Login,
    /// A user per service; [`RedisRules`] says what each may do.
    pub users: Vec<Login>,
}

impl Target {
    /// The Redis of a platform.
    #[must_use]
    pub fn new(names: &Names, material: &Material) -> Self {
        Self {
            host: names.service("redis"),
            port: 6379,
            operator: material.redis.operator.clone(),
            users: material.redis.users.clone(),
        }
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn failed(&self, action: &str, error: &RedisError) -> Error {
        let (server, address, cause) = (Server::Redis, self.address(), with_causes(error));
        let user = || self.operator.user.clone();
        match error.kind() {
            ErrorKind::AuthenticationFailed => Error::AccessDenied { server, address, user: user(), cause },
            _ if matches!(error.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS")) => {
                Error::AccessDenied { server, address, user: user(), cause }
            }
            ErrorKind::Io => Error::Unreachable { server, address, cause },
            _ => Error::Failed { server, address, action: action.to_owned(), cause },
        }
    }
}

/// Makes the server agree with `target`.
#[must_use]
pub fn provision(target: &Target) -> Provisioning<'_> {
    bounded(Server::Redis, run(target))
}

async fn run(target: &Target) -> Result<State, Error> {
    let mut session = Session::open(target).await?;
    let mut changes = Vec::new();
    for login in target.users.iter().chain([&target.operator]) {
        let answer: Value = session.ask("tell its users", cmd("ACL").arg("GETUSER").arg(&login.user)).await?;
        if !agrees(&fields(answer), login) {
            session.ask::<()>("change a user", &set_user(login)).await?;
            changes.push(format!("corrected user {}", login.user));
        }
    }
    let default: Value = session.ask("tell its users", cmd("ACL").arg("GETUSER").arg("default")).await?;
    if words(&fields(default), "flags").iter().any(|flag| flag == "on") {
        session.ask::<()>("turn the default user off", cmd("ACL").arg("SETUSER").arg("default").arg("off")).await?;
        changes.push("turned the default user off".to_owned());
    }
    let server: String = session.ask("tell its version", cmd("INFO").arg("server")).await?;
    let persistence: String = session.ask("tell its state", cmd("INFO").arg("persistence")).await?;
    let replication: String = session.ask("tell its role", cmd("INFO").arg("replication")).await?;
    let role = info(&replication, "role").unwrap_or("unknown");
    let loading = info(&persistence, "loading") == Some("1");
    Ok(State {
        ready: role == "master" && !loading,
        version: info(&server, "redis_version").map(str::to_owned),
        message: if loading {
            "Loading its data from the disk".to_owned()
        } else {
            format!("role {role}, {} replicas", info(&replication, "connected_slaves").unwrap_or("0"))
        },
        changes,
    })
}

struct Session<'a> {
    target: &'a Target,
    connection: MultiplexedConnection,
}

impl<'a> Session<'a> {
    async fn open(target: &'a Target) -> Result<Self, Error> {
        let login = RedisConnectionInfo::default()
            .set_username(&target.operator.user)
            .set_password(target.operator.password.expose_secret());
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let open = async {
            let address = ConnectionAddr::Tcp(target.host.clone(), target.port);
            let info = address.into_connection_info()?.set_redis_settings(login);
            Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
        };
        let connection = open.await.map_err(|error| target.failed("log in", &error))?;
        Ok(Self { target, connection })
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, action: &str, command: &Cmd) -> Result<T, Error> {
        command.query_async(&mut self.connection).await.map_err(|error| self.target.failed(action, &error))
    }
}

/// All in one command, so there is no moment in which the user has fewer rights than before and after.
fn set_user(login: &Login) -> Cmd {
    let mut command = cmd("ACL");
    command.arg("SETUSER").arg(&login.user).arg("reset").arg("on");
    command.arg(format!("#{}", redis_password_hash(login.password.expose_secret())));
    command.arg("resetchannels");
    for word in RedisRules::of(&login.user).words() {
        command.arg(word);
    }
    command
}

/// The answer of `ACL GETUSER`, a list of names and values or a map, by the version of the protocol. Empty for no such user.
fn fields(answer: Value) -> BTreeMap<String, Value> {
    let pairs: Vec<(Value, Value)> = match answer {
        Value::Map(pairs) => pairs,
        Value::Array(items) => {
            let mut items = items.into_iter();
            std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
        }
        _ => Vec::new(),
    };
    pairs.into_iter().filter_map(|(name, value)| Some((redis::from_redis_value(name).ok()?, value))).collect()
}

/// A field as words, whether the server gives it as a list (until 6.2) or as one text (since 7.0).
fn words(fields: &BTreeMap<String, Value>, name: &str) -> Vec<String> {
    match fields.get(name) {
        Some(Value::Array(items) | Value::Set(items)) => {
            items.iter().filter_map(|item| redis::from_redis_value(item.clone()).ok()).collect()
        }
        Some(value) => redis::from_redis_value::<String>(value.clone())
            .map(|text| text.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        None => Vec::new(),
    }
}

fn agrees(found: &BTreeMap<String, Value>, login: &Login) -> bool {
    let rules = RedisRules::of(&login.user);
    let same = |name, wanted: &str| {
        let found = words(found, name);
        found.iter().map(String::as_str).collect::<BTreeSet<_>>() == wanted.split_whitespace().collect()
    };
    let flags = words(found, "flags");
    let has = |flag: &str| flags.iter().any(|found| found == flag);
    has("on")
        && !has("nopass")
        && words(found, "passwords") == [redis_password_hash(login.password.expose_secret())]
        && same("commands", rules.commands)
        && same("keys", rules.keys)
        && same("channels", rules.channels)
}

/// A line `name:value` of an answer of `INFO`.
fn info<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
