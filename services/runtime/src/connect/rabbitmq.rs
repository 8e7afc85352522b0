//! One connection to the broker per process, made when it is needed and again when it was lost.
//!
//! The broker's host name may stand for several nodes, of which some do not take connections: each is tried, in an order of chance, so
//! that clients spread over the nodes and one that is away, or silent, keeps nobody from the others.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties,
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use rand::seq::SliceRandom as _;
use tokio::sync::Mutex;

use super::{CONNECT_TIMEOUT, ConnectError, secret};
use crate::telemetry::chain;

/// How soon a dead peer is noticed when no packet says so.
const HEARTBEAT_SECONDS: u16 = 10;
/// How long a node may take to be connected to: one whose machine has gone never refuses.
const NODE_TIMEOUT: Duration = Duration::from_secs(2);
/// File beside that of the URI with authorities to trust, besides those that the system does.
const AUTHORITIES: &str = "ca.crt";

/// Why there is no channel to the broker.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The address is not known.
    #[error(transparent)]
    Address(#[from] ConnectError),
    /// The address is not an AMQP URI. What it is instead may be a secret.
    #[error("the RabbitMQ URI cannot be used: it is not amqp://user:password@host:port/virtual-host")]
    Uri,
    /// Its name is not known.
    #[error("cannot find RabbitMQ at {host}")]
    Name {
        /// Host and port.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The broker refused or vanished.
    #[error("no connection to RabbitMQ")]
    Broker(#[from] lapin::Error),
    /// The broker did not answer.
    #[error("RabbitMQ does not answer")]
    Timeout,
}

/// Hands out channels. Clones share the connection.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    uri_file: PathBuf,
    name: String,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl Connector {
    /// A connector that reads the URI from `uri_file` each time it connects, so that a rotated credential is used as soon
    /// as it is needed. `name` is what the broker's overview shows. With `amqps`, authorities in a file `ca.crt` beside it are
    /// trusted too.
    pub fn new(uri_file: impl AsRef<Path>, name: &str) -> Self {
        let uri_file = uri_file.as_ref().to_owned();
        Self(Arc::new(Inner { uri_file, name: name.to_owned(), connection: Mutex::new(None) }))
    }

    /// A fresh channel on the shared connection, which is made first if there is none.
    pub async fn channel(&self) -> Result<Channel, ConnectorError> {
        let connection = self.connection().await?;
        within(connection.create_channel()).await
    }

    /// Whether the broker answers, for [`crate::health::Health::check`].
    pub async fn ping(&self) -> Result<(), ConnectorError> {
        let channel = self.channel().await?;
        within(channel.close(200, "ping".into())).await
    }

    /// Lets the connection go, so that the next channel is on another one.
    pub(crate) async fn forget(&self) {
        let connection = self.0.connection.lock().await.take();
        // Whoever still has a channel on it is told; a node that does not answer is not waited for.
        tokio::spawn(async move {
            if let Some(connection) = connection {
                let _ = within(connection.close(320, "no answer".into())).await;
            }
        });
    }

    /// Closes the connection, so that the broker sees an orderly end.
    pub async fn close(&self) {
        if let Some(connection) = self.0.connection.lock().await.take() {
            let _ = within(connection.close(200, "stopping".into())).await;
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, ConnectorError> {
        // Held while connecting: who comes meanwhile waits for the same connection instead of making another.
        let mut connection = self.0.connection.lock().await;
        if let Some(alive) = connection.as_ref().filter(|connection| connection.status().connected()) {
            return Ok(Arc::clone(alive));
        }
        let fresh = Arc::new(self.0.connect().await?);
        tracing::info!("connected to RabbitMQ");
        *connection = Some(Arc::clone(&fresh));
        Ok(fresh)
    }
}

impl Inner {
    async fn connect(&self) -> Result<Connection, ConnectorError> {
        let mut uri: AMQPUri = secret(&self.uri_file)?.parse().map_err(|_| ConnectorError::Uri)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let authorities = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => std::fs::read_to_string(self.uri_file.with_file_name(AUTHORITIES)).ok(),
        };
        let properties = ConnectionProperties::default().with_connection_name(self.name.clone().into());
        let mut addresses = addresses(&uri).await?;
        addresses.shuffle(&mut rand::rng());
        connect_to_first(&addresses, &uri, &properties, authorities).await
    }
}

async fn addresses(uri: &AMQPUri) -> Result<Vec<SocketAddr>, ConnectorError> {
    let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
    match tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(source)) => Err(ConnectorError::Name { host: format!("{host}:{port}"), source }),
        Err(_) => Err(ConnectorError::Timeout),
    }
}

/// A connection to the first address that gives one.
async fn connect_to_first(
    addresses: &[SocketAddr],
    uri: &AMQPUri,
    properties: &ConnectionProperties,
    authorities: Option<String>,
) -> Result<Connection, ConnectorError> {
    let trusted = OwnedTLSConfig { identity: None, cert_chain: authorities };
    let mut failed = ConnectorError::Timeout;
    for &address in addresses {
        let trusted = trusted.clone();
        let connecting = Connection::connector(
            uri.clone(),
            lapin::runtime::default_runtime()?,
            async move |uri: AMQPUri, runtime| {
                let stream = tokio::time::timeout(NODE_TIMEOUT, AsyncTcpStream::connect(&runtime, address));
                let stream = stream.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                match uri.scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => Ok(stream.into_tls(&uri.authority.host, trusted.as_ref()).await?),
                }
            },
            properties.clone(),
        );
        match within(connecting).await {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                tracing::debug!(%address, error = chain(&error), "a node of RabbitMQ gives no connection");
                failed = error;
            }
        }
    }
    Err(failed)
}

/// Bounds a call to the broker: one that dies in the middle of it may leave it unanswered for ever.
pub(crate) async fn within<T>(work: impl Future<Output = lapin::Result<T>>) -> Result<T, ConnectorError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, work).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(ConnectorError::Timeout),
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("uri_file", &self.0.uri_file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_that_refuses_and_one_that_is_silent_keep_nobody_from_the_others() {
        let broker = tokio::task::spawn_blocking(servers::RabbitMq::shared).await.unwrap();
        let uri: AMQPUri = broker.uri_of("/").parse().unwrap();
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refuses = free.local_addr().unwrap();
        drop(free);
        // Takes connections, and says nothing on them.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [refuses, silent.local_addr().unwrap(), broker.address().parse().unwrap()];
        let connection = connect_to_first(&addresses, &uri, &ConnectionProperties::default(), None).await.unwrap();
        connection.create_channel().await.unwrap();

        let error = connect_to_first(&addresses[..1], &uri, &ConnectionProperties::default(), None).await.unwrap_err();
        assert!(chain(&error).contains("refused"), "{}", chain(&error));
    }
}
