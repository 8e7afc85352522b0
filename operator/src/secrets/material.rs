//! Everything secret of a platform, and what depends on it.

mod completion;
mod rendering;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::message_keys::MessageKeys;
use super::signing_keys::SigningKeys;
use super::{Connection, Credentials, Given, Login};
use crate::build::Component;

/// The user that reads all databases, to make backups; also what its Secret is called, after the platform's name.
pub const BACKUP: &str = "backup";
/// Name of the Secret with the members' certificate, after the platform's.
pub const MONGODB_TLS: &str = "mongodb-tls";
/// Name of the Secret with the certificate that the edge shows, after the platform's.
pub const EDGE_TLS: &str = "edge-tls";

/// Every secret of a platform, complete.
#[derive(Clone, Debug)]
pub struct Material {
    /// `MongoDB`.
    pub mongodb: Supply<MongoDb>,
    /// Redis.
    pub redis: Supply<Redis>,
    /// `RabbitMQ`.
    pub rabbitmq: Supply<RabbitMq>,
    /// What services log in to those of them with that are the platform's own.
    pub credentials: Credentials,
    /// The account of the S3 store.
    pub object_storage: ObjectStorage,
    /// The account of the S3 store that backups are kept in, if any are made.
    pub backup: Option<ObjectStorage>,
    /// Keys that sign access tokens.
    pub signing_keys: SigningKeys,
    /// Keys that wrap the keys of conversations.
    pub message_keys: MessageKeys,
    /// Keys that secrets of accounts are encrypted with.
    pub account_keys: MessageKeys,
    /// The platform's certificate authority.
    pub authority: Certificate,
    /// The certificate of the edge.
    pub edge: EdgeCertificate,
}

/// The certificate that the edge shows.
#[derive(Clone, Debug)]
pub enum EdgeCertificate {
    /// Signed by the platform's own authority.
    Own(Certificate),
    /// Made by somebody else.
    Given(Given),
}

impl EdgeCertificate {
    /// The certificate, and those between it and its authority, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        match self {
            Self::Own(own) => own.pem(),
            Self::Given(given) => given.pem(),
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Own(own) => own.key(),
            Self::Given(given) => given.key(),
        }
    }

    fn own(&self) -> Option<&Certificate> {
        match self {
            Self::Own(own) => Some(own),
            Self::Given(_) => None,
        }
    }
}

/// Secrets of a server that is the platform's own, or the way to one that somebody else runs.
#[derive(Clone, Debug)]
pub enum Supply<T> {
    /// Made and kept here.
    Own(T),
    /// Given by the user.
    External(Connection),
}

impl<T> Supply<T> {
    /// The secrets of the platform's own server, if it has one.
    #[must_use]
    pub fn own(&self) -> Option<&T> {
        match self {
            Self::Own(own) => Some(own),
            Self::External(_) => None,
        }
    }

    /// The connection string of a service's user: `own` makes that of the platform's own server.
    fn uri(&self, own: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Own(secrets) => own(secrets),
            Self::External(connection) => connection.uri.expose_secret().to_owned(),
        }
    }

    /// The authority by which somebody else's server is believed, PEM; none where there is no such server or it needs none.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        match self {
            Self::Own(_) => None,
            Self::External(connection) => connection.authority.as_deref(),
        }
    }
}

/// Secrets of the replica set.
#[derive(Clone, Debug)]
pub struct MongoDb {
    /// The certificate that every member shows, to clients and to the others.
    pub certificate: Certificate,
    /// Content of the key file, by which members and the operator (as `__system`) log in.
    pub key_file: SecretString,
    /// The user that makes backups, if any are made.
    pub backup: Option<Login>,
}

/// Secrets of Redis.
#[derive(Clone, Debug)]
pub struct Redis {
    /// The operator's own user.
    pub operator: Login,
    /// The user by which replicas log in to their master.
    pub replication: Login,
    /// The user by which sentinels log in to servers and to each other.
    pub sentinel: Login,
}

/// Secrets of `RabbitMQ`.
#[derive(Clone, Debug)]
pub struct RabbitMq {
    /// The operator's own user, an administrator.
    pub operator: Login,
    /// What nodes and command line tools know each other by.
    pub erlang_cookie: SecretString,
}

/// The account of an S3 store.
#[derive(Clone, Debug)]
pub struct ObjectStorage {
    /// Its access key id.
    pub access_key_id: String,
    /// Its secret access key.
    pub secret_access_key: SecretString,
    /// Whether the store is the platform's own.
    pub is_own: bool,
}

impl Material {
    /// When something here is due for renewal, for the next reconcile.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        let mongodb = self.mongodb.own().map(|own| &own.certificate);
        let leaves = mongodb.into_iter().chain(self.edge.own()).map(Certificate::renew_at);
        leaves.min().unwrap_or_else(|| self.authority.renew_at())
    }

    /// Those servers of the platform's own that services log in to with the credentials that rotate.
    #[must_use]
    pub fn own_servers(&self) -> Vec<Component> {
        own_servers(&self.mongodb, &self.redis, &self.rabbitmq)
    }

    /// Digest of what a component reads at its start alone, for an annotation of its pods: when it changes, they must restart.
    /// Everything else is read again by whoever mounts it, or changed in the running server by `provision`.
    #[must_use]
    pub fn read_at_start(&self, component: &str) -> Option<String> {
        let parts: Vec<&str> = match component {
            "mongodb" => vec![self.mongodb.own()?.key_file.expose_secret()],
            "redis" => {
                let own = self.redis.own()?;
                vec![own.operator.exposed(), own.replication.exposed(), own.sentinel.exposed()]
            }
            "rabbitmq" => {
                let own = self.rabbitmq.own()?;
                vec![own.operator.exposed(), own.erlang_cookie.expose_secret()]
            }
            "object-storage" => {
                vec![&self.object_storage.access_key_id, self.object_storage.secret_access_key.expose_secret()]
            }
            _ => return None,
        };
        Some(digest(&parts))
    }

    /// Digest of what somebody else's servers are reached by: services read it at their start alone.
    #[must_use]
    pub fn external_connections(&self) -> Option<String> {
        fn parts<T>(supply: &Supply<T>) -> impl Iterator<Item = &str> {
            let connection = match supply {
                Supply::Own(_) => None,
                Supply::External(connection) => Some(connection),
            };
            connection.into_iter().flat_map(|connection| {
                [connection.uri.expose_secret(), connection.authority.as_deref().unwrap_or_default()]
            })
        }
        let all: Vec<&str> = parts(&self.mongodb).chain(parts(&self.redis)).chain(parts(&self.rabbitmq)).collect();
        (!all.is_empty()).then(|| digest(&all))
    }

    /// The public keys by which tokens are verified, for `ConfigMap` `<p>-jwks`.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.signing_keys.jwks()
    }
}

fn own_servers(mongodb: &Supply<MongoDb>, redis: &Supply<Redis>, rabbitmq: &Supply<RabbitMq>) -> Vec<Component> {
    let own = [
        (Component::MongoDb, mongodb.own().is_some()),
        (Component::Redis, redis.own().is_some()),
        (Component::RabbitMq, rabbitmq.own().is_some()),
    ];
    own.into_iter().filter_map(|(server, is_own)| is_own.then_some(server)).collect()
}

fn digest(parts: &[&str]) -> String {
    let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update([0]));
    hex::encode(&digest.finalize()[..16])
}

#[cfg(test)]
mod tests;
