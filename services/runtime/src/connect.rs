//! Connections to the servers that services keep their state in. None of these waits for its server: a service starts
//! without it, is not ready, and becomes so by itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use ::mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, WriteConcern};
use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use aws_sdk_s3::config::{Credentials, Region, ResponseChecksumValidation, timeout::TimeoutConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::config;

pub mod rabbitmq;

/// How long a server may take to be found or connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Redis may take to answer; a command of ours takes well under a millisecond.
const REDIS_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

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
    #[error("the Redis URL cannot be used")]
    Redis(#[from] ::redis::RedisError),
}

/// The database of a service. Reads and writes are of majority, so that what was acknowledged survives a failover, unless
/// the connection string says otherwise.
pub async fn mongodb(settings: &config::MongoDb) -> Result<::mongodb::Database, ConnectError> {
    let mut options = ClientOptions::parse(secret(&settings.uri_file)?).await?;
    options.app_name.get_or_insert_with(|| settings.database.clone());
    options.server_selection_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.read_concern.get_or_insert_with(ReadConcern::majority);
    options
        .write_concern
        .get_or_insert_with(|| WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    Ok(::mongodb::Client::with_options(options)?.database(&settings.database))
}

/// Whether the database answers, for [`crate::health::Health::check`].
pub async fn ping_mongodb(database: &::mongodb::Database) -> Result<(), String> {
    match database.run_command(::mongodb::bson::doc! {"ping": 1}).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// A connection to Redis that many tasks share and that reconnects by itself.
pub fn redis(settings: &config::Redis) -> Result<ConnectionManager, ConnectError> {
    let timing = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(REDIS_ANSWER_TIMEOUT))
        .set_max_delay(Duration::from_secs(2));
    Ok(ConnectionManager::new_lazy_with_config(redis_client(settings)?, timing)?)
}

/// A client of Redis, for connections of one's own: subscriptions, adapters.
pub fn redis_client(settings: &config::Redis) -> Result<::redis::Client, ConnectError> {
    Ok(::redis::Client::open(secret(&settings.url_file)?)?)
}

/// Whether Redis answers, for [`crate::health::Health::check`].
pub async fn ping_redis(connection: &ConnectionManager) -> Result<(), String> {
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
