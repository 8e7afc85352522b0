//! Redis: a user per service with rights on its own names, on every server and sentinel; and who is master.
//!
//! Differences are written into the running servers (`ACL SETUSER`, effective at once); the files `users.acl` and `sentinel.acl` of
//! the Secret carry the same users into their next start.

mod external;
mod session;
mod standing;
mod users;

use futures::future::join_all;
use redis::cmd;

pub use external::external;

use super::{Error, Provisioning, Server, State, bounded};
use crate::build::Component;
use crate::secrets::{self, Credentials, Login, Names, RedisPlace};
use session::Session;
use standing::{Master, Part, Says, standing};

const PORT: u16 = 6379;

/// The servers as they shall be.
#[derive(Clone, Debug)]
pub struct Target {
    /// Every server.
    pub servers: Vec<Instance>,
    /// Every sentinel; none where there is one server alone.
    pub sentinels: Vec<Instance>,
    /// The operator's own user.
    pub operator: Login,
    /// All others; [`crate::secrets::RedisRules`] says what each may do. A user of several logins has as many passwords.
    pub users: Vec<Login>,
    /// Logins of before, which are to be refused.
    pub refused: Vec<Login>,
}

/// A server or sentinel.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Name of its pod.
    pub pod: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Target {
    /// The Redis of a platform.
    #[must_use]
    pub fn new(names: &Names, secrets: &secrets::Redis, credentials: &Credentials) -> Self {
        let pods = |port| {
            let instance = |host: String| {
                let pod = host.split('.').next().unwrap_or(&host).to_owned();
                Instance { pod, host, port }
            };
            names.pods("redis", names.redis_replicas.max(1)).map(instance).collect()
        };
        Self {
            servers: pods(PORT),
            sentinels: if names.redis_replicas > 1 { pods(Names::SENTINEL) } else { vec![] },
            operator: secrets.operator.clone(),
            users: credentials
                .accepted(Component::Redis)
                .into_iter()
                .chain([secrets.replication.clone(), secrets.sentinel.clone()])
                .collect(),
            refused: credentials.refused(Component::Redis),
        }
    }
}

/// Makes the servers agree with `target`.
#[must_use]
pub fn provision(target: &Target) -> Provisioning<'_> {
    bounded(Server::Redis, run(target))
}

async fn run(target: &Target) -> Result<State, Error> {
    let servers = join_all(target.servers.iter().map(|server| agree_server(target, server)));
    let sentinels = join_all(target.sentinels.iter().map(|sentinel| agree_sentinel(target, sentinel)));
    let (servers, sentinels) = futures::join!(servers, sentinels);
    let mut changes = Vec::new();
    let (servers, silence) = heard(servers, &mut changes)?;
    let (sentinels, _) = heard(sentinels, &mut changes)?;
    match silence {
        Some(error) if servers.iter().all(Option::is_none) => Err(error),
        _ => {
            let version = servers.iter().flatten().find_map(|says| says.version.clone());
            // One that is silent keeps what its file says, which may be of before.
            let users_agree = servers.iter().all(Option::is_some) && sentinels.iter().all(Option::is_some);
            Ok(State { version, changes, users_agree, ..standing(target, &servers, &sentinels) })
        }
    }
}

/// What each instance said, and why the first that did not say anything is silent. One that refuses our login is an error, however
/// the others do.
fn heard<T>(
    answers: Vec<Result<(T, Vec<String>), Error>>,
    changes: &mut Vec<String>,
) -> Result<(Vec<Option<T>>, Option<Error>), Error> {
    let (mut heard, mut silence) = (Vec::new(), None);
    for answer in answers {
        match answer {
            Ok((says, corrections)) => {
                changes.extend(corrections);
                heard.push(Some(says));
            }
            Err(error @ Error::AccessDenied { .. }) => return Err(error),
            Err(error) => {
                silence.get_or_insert(error);
                heard.push(None);
            }
        }
    }
    Ok((heard, silence))
}

async fn agree_server(target: &Target, server: &Instance) -> Result<(Says, Vec<String>), Error> {
    let mut session = Session::open(server, &target.operator).await?;
    let changes = users::correct(&mut session, target, RedisPlace::Server, &server.pod).await?;
    users::refused(server, target).await?;
    let about: String = session.ask("tell its version", cmd("INFO").arg("server")).await?;
    let persistence: String = session.ask("tell its state", cmd("INFO").arg("persistence")).await?;
    let replication: String = session.ask("tell its role", cmd("INFO").arg("replication")).await?;
    let part = match info(&replication, "role") {
        Some("master") => Part::Master,
        _ => Part::Replica { linked: info(&replication, "master_link_status") == Some("up") },
    };
    let loading = info(&persistence, "loading") == Some("1");
    let version = info(&about, "redis_version").map(str::to_owned);
    Ok((Says { version, part: if loading { Part::Loading } else { part } }, changes))
}

async fn agree_sentinel(target: &Target, sentinel: &Instance) -> Result<(Master, Vec<String>), Error> {
    let mut session = Session::open(sentinel, &target.operator).await?;
    let of = format!("the sentinel of {}", sentinel.pod);
    let changes = users::correct(&mut session, target, RedisPlace::Sentinel, &of).await?;
    users::refused(sentinel, target).await?;
    let question = session::who_is_master(Names::REDIS_MASTER);
    let master: Master = session.ask("name the master", &question).await?;
    Ok((master, changes))
}

/// A line `name:value` of an answer of `INFO`.
fn info<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
