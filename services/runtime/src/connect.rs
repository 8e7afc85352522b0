//! Connections to the servers that services keep their state in. None of these waits for its server: a service starts
//! without it, is not ready, and becomes so by itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_sdk_s3::config::{Credentials, Region, ResponseChecksumValidation, timeout::TimeoutConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::config;

mod credential;
pub mod mongodb;
pub mod rabbitmq;
pub mod redis;

pub use mongodb::{Collection, Database};
pub use redis::Redis;

/// How long a server may take to be found or connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection cannot even be described.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A file with an address or a credential cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection string of `MongoDB` is wrong.
    #[error("the MongoDB connection string cannot be used")]
    MongoDb(#[from] ::mongodb::error::Error),
    /// The URL of Redis is wrong.
    #[error("the Redis URL {0}")]
    RedisUrl(#[from] contract::redis_url::RedisUrlError),
    /// A part of the URL of Redis, or a certificate that goes with it, is wrong.
    #[error("the Redis URL cannot be used")]
    Redis(#[from] ::redis::RedisError),
}

/// The database of a service. Reads and writes are of majority, so that what was acknowledged survives a failover, unless
/// the connection string says otherwise. Must be called within a tokio runtime.
pub async fn mongodb(settings: &config::MongoDb) -> Result<Database, ConnectError> {
    Database::open(settings).await
}

/// Whether the database answers, for [`crate::health::Health::check`].
pub async fn ping_mongodb(database: &Database) -> Result<(), String> {
    mongodb::ping(database).await
}

/// A connection to Redis that many tasks share and that follows the master by itself. Must be called within a tokio runtime.
pub fn redis(settings: &config::Redis) -> Result<Redis, ConnectError> {
    Redis::new(settings)
}

/// Whether Redis answers, for [`crate::health::Health::check`].
pub async fn ping_redis(connection: &Redis) -> Result<(), String> {
    ::redis::cmd("PING").query_async::<()>(&mut connection.clone()).await.map_err(|error| error.to_string())
}

/// A connector to the broker, shared by publishers and consumers.
#[must_use]
pub fn rabbitmq(settings: &config::RabbitMq, service: &str) -> rabbitmq::Connector {
    rabbitmq::Connector::new(&settings.uri_file, service)
}

/// A client of the object store, and the bucket.
pub fn object_storage(settings: &config::ObjectStorage) -> Result<(aws_sdk_s3::Client, String), ConnectError> {
    let credentials = Credentials::new(
        secret(&settings.access_key_id_file)?,
        secret(&settings.secret_access_key_file)?,
        None,
        None,
        "files",
    );
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_sdk_s3::Config::builder()
        .http_client(http)
        .endpoint_url(&settings.endpoint)
        .region(Region::new(settings.region.clone()))
        .force_path_style(settings.path_style)
        .credentials_provider(credentials)
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
        // A range of an object has no checksum of its own to compare with.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Ok((aws_sdk_s3::Client::from_conf(config), settings.bucket.clone()))
}

/// The content of a file with one secret or address in it, without the line's end.
pub(crate) fn secret(path: &Path) -> Result<String, ConnectError> {
    let text = fs::read_to_string(path).map_err(|source| ConnectError::File { path: path.to_owned(), source })?;
    Ok(text.trim().to_owned())
}
