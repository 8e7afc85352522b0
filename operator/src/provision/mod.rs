//! Log in to the servers and make them agree: replica set, users, virtual host, exchange, bucket.
//!
//! A file per component, each with a `Target` (what shall be), a `provision` (read, compare, write the differences alone) and an
//! answer in the server's own words. Running it again changes nothing; each run is bounded by [`DEADLINE`].

pub mod mongodb;
pub mod object_storage;
pub mod rabbitmq;
pub mod redis;

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::provisioner::{DEADLINE, Member};
use crate::reason::Reason;

/// How long a connection may take to open, and a server to answer one request.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// What a server said after it was made to agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whether the services can use it.
    pub ready: bool,
    /// The server's version, where it tells.
    pub version: Option<String>,
    /// For people: members, primary, alarms, in the server's own words.
    pub message: String,
    /// What this run has changed, a sentence each; empty when everything agreed already.
    pub changes: Vec<String>,
    /// The server's pods, as it sees them itself.
    pub members: Vec<Member>,
    /// Whether every login that it is to accept is there, and each that it is to refuse was refused.
    pub users_agree: bool,
}

/// A server that is provisioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The replica set.
    MongoDb,
    /// Redis.
    Redis,
    /// `RabbitMQ`.
    RabbitMq,
    /// The S3 store.
    ObjectStorage,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MongoDb => "MongoDB",
            Self::Redis => "Redis",
            Self::RabbitMq => "RabbitMQ",
            Self::ObjectStorage => "Object storage",
        })
    }
}

/// Why a server does not agree. No variant carries a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not answer.
    #[error("{server} at {address} does not answer: {cause}. Look at the state and the logs of its pods")]
    Unreachable {
        /// Which server.
        server: Server,
        /// Where it was looked for.
        address: String,
        /// The words of the client or the system.
        cause: String,
    },
    /// It answers, and refuses our login or our right to do something.
    #[error(
        "{server} at {address} refuses user {user}: {cause}. Its data was made with other credentials than the Secrets of \
         this platform hold: restore those Secrets, or restart its pods if the credentials have just changed"
    )]
    AccessDenied {
        /// Which server.
        server: Server,
        /// Where.
        address: String,
        /// Who was refused.
        user: String,
        /// The server's words.
        cause: String,
    },
    /// It answers, and fails at what was asked.
    #[error(
        "{server} at {address} failed to {action}: {cause}. It is tried again; look at the server's logs if it lasts"
    )]
    Failed {
        /// Which server.
        server: Server,
        /// Where.
        address: String,
        /// What was asked.
        action: String,
        /// The server's words.
        cause: String,
    },
    /// Something of our name is there and is not ours, and changing it would lose data.
    #[error("{server} at {address} {fault}. {remedy}")]
    Conflict {
        /// Which server.
        server: Server,
        /// Where.
        address: String,
        /// What is there.
        fault: String,
        /// What to do.
        remedy: String,
    },
    /// One that somebody else runs cannot be used as the spec and the user's Secret say.
    #[error("{server} at {address} {fault}. {remedy}")]
    Theirs {
        /// Which server.
        server: Server,
        /// Where.
        address: String,
        /// What kind of problem it is.
        problem: Problem,
        /// What happened, in the server's own words.
        fault: String,
        /// What to do.
        remedy: String,
    },
    /// It answers too slowly.
    #[error("{server} did not finish within {} s. It is tried again; look at the load of its pods if it lasts", DEADLINE.as_secs())]
    TimedOut {
        /// Which server.
        server: Server,
    },
}

/// What is wrong with a server that somebody else runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It does not answer.
    Unreachable,
    /// It refuses the login, or a right.
    AccessDenied,
    /// It answers, and fails at what was asked.
    Failed,
}

impl Error {
    /// Whether it lasts until somebody acts.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::AccessDenied { .. } | Self::Conflict { .. } | Self::Theirs { problem: Problem::AccessDenied, .. }
        )
    }

    /// For people: what is wrong and what to do, also about names, which clients tell of in words of their own.
    #[must_use]
    pub fn told(&self) -> String {
        const UNKNOWN_NAME: [&str; 4] =
            ["failed to lookup address", "Name or service not known", "name resolution", "No such host"];
        let words = self.to_string();
        if UNKNOWN_NAME.iter().any(|unknown| words.contains(unknown)) {
            let cure = "The cluster's DNS does not know that name: see whether the name is right, and \
                        `kubectl get pods --namespace kube-system --selector k8s-app=kube-dns`";
            return format!("{words}. {cure}");
        }
        words
    }

    /// The word for the condition's reason, the event's reason and the metric's label.
    #[must_use]
    pub fn category(&self) -> Reason {
        match self {
            Self::Unreachable { server, .. } | Self::Theirs { server, problem: Problem::Unreachable, .. } => {
                server.of([
                    Reason::MongoDBUnreachable,
                    Reason::RedisUnreachable,
                    Reason::RabbitMQUnreachable,
                    Reason::ObjectStorageUnreachable,
                ])
            }
            Self::AccessDenied { server, .. } | Self::Theirs { server, problem: Problem::AccessDenied, .. } => server
                .of([
                    Reason::MongoDBAccessDenied,
                    Reason::RedisAccessDenied,
                    Reason::RabbitMQAccessDenied,
                    Reason::ObjectStorageAccessDenied,
                ]),
            Self::Failed { server, .. } | Self::Theirs { server, problem: Problem::Failed, .. } => server.of([
                Reason::MongoDBFailed,
                Reason::RedisFailed,
                Reason::RabbitMQFailed,
                Reason::ObjectStorageFailed,
            ]),
            Self::Conflict { server, .. } => server.of([
                Reason::MongoDBConflict,
                Reason::RedisConflict,
                Reason::RabbitMQConflict,
                Reason::ObjectStorageConflict,
            ]),
            Self::TimedOut { server } => server.of([
                Reason::MongoDBTimedOut,
                Reason::RedisTimedOut,
                Reason::RabbitMQTimedOut,
                Reason::ObjectStorageTimedOut,
            ]),
        }
    }
}

impl Server {
    /// The one of four reasons that is about this server.
    fn of(self, [mongodb, redis, rabbitmq, object_storage]: [Reason; 4]) -> Reason {
        match self {
            Self::MongoDb => mongodb,
            Self::Redis => redis,
            Self::RabbitMq => rabbitmq,
            Self::ObjectStorage => object_storage,
        }
    }
}

/// One run against one server. On the heap: together they would be a large future, and each is compiled once, here, and not in every
/// program that awaits it.
pub type Provisioning<'a> = BoxFuture<'a, Result<State, Error>>;

fn bounded<'a>(server: Server, run: impl Future<Output = Result<State, Error>> + Send + 'a) -> Provisioning<'a> {
    Box::pin(async move { tokio::time::timeout(DEADLINE, run).await.unwrap_or(Err(Error::TimedOut { server })) })
}

/// An error with its causes, for libraries whose own words are in the last of them.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_known_is_told_with_where_to_look() {
        let told = |cause: &str| {
            Error::Unreachable { server: Server::Redis, address: "a:1".to_owned(), cause: cause.to_owned() }.told()
        };
        let unknown = "failed to lookup address information: Name or service not known";
        assert!(told(unknown).contains("DNS does not know that name"));
        assert!(!told("connection refused").contains("DNS"));
    }

    #[test]
    fn a_category_names_the_server_and_the_problem() {
        let error = Error::TimedOut { server: Server::MongoDb };
        assert_eq!(error.category(), "MongoDBTimedOut");
        let error = Error::Unreachable {
            server: Server::ObjectStorage,
            address: "a:1".to_owned(),
            cause: "connection refused".to_owned(),
        };
        assert_eq!(error.category(), "ObjectStorageUnreachable");
        assert!(error.to_string().starts_with("Object storage at a:1 does not answer: connection refused."));
    }
}
