//! One connection to the broker per process, made when it is needed and again when it was lost. When the file says another URI, another
//! connection takes the place of the one before, which is closed once nobody has a channel on it any more.
//!
//! The broker's host name may stand for several nodes, of which some do not take connections: each is tried, in an order of chance, so
//! that clients spread over the nodes and one that is away, or silent, keeps nobody from the others.

use std::{
    fmt, io,
    net::SocketAddr,
    ops::Deref,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use contract::keys::KeyUse;
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties,
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use rand::seq::SliceRandom as _;
use tokio::sync::{Mutex, watch};

use super::{
    CONNECT_TIMEOUT, ConnectError,
    credential::{Credential, Generation, Generations, LOOK_EVERY, Source},
};
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
    source: Source,
    name: String,
    line: Mutex<Option<Arc<Line>>>,
    generations: Generations,
    /// Number of the newest connection.
    newest: watch::Sender<u64>,
}

/// A connection, and what it was made by.
struct Line {
    connection: Connection,
    credential: Credential,
    number: u64,
    _generation: Arc<Generation>,
}

/// A channel. Its connection stays as long as this does.
pub struct Channel {
    inner: lapin::Channel,
    line: Arc<Line>,
    newest: watch::Receiver<u64>,
}

impl Connector {
    /// A connector that reads the URI from `uri_file` each time it connects, and connects anew when the URI changes, so that the old
    /// credential is soon used by nobody. `name` is what the broker's overview shows. With `amqps`, authorities in a file `ca.crt` beside it
    /// are trusted too.
    pub fn new(uri_file: impl AsRef<Path>, name: &str) -> Self {
        let inner = Arc::new(Inner {
            source: Source::new(uri_file),
            name: name.to_owned(),
            line: Mutex::new(None),
            generations: Generations::default(),
            newest: watch::Sender::new(0),
        });
        if let Ok(handle) = tokio::runtime::Handle::try_current() {
            handle.spawn(follow(Arc::downgrade(&inner)));
        }
        Self(inner)
    }

    /// A fresh channel on the shared connection, which is made first if there is none.
    pub async fn channel(&self) -> Result<Channel, ConnectorError> {
        let line = self.line().await?;
        let inner = within(line.connection.create_channel()).await?;
        Ok(Channel { inner, line, newest: self.0.newest.subscribe() })
    }

    /// Whether the broker answers, for [`crate::health::Health::check`].
    pub async fn ping(&self) -> Result<(), ConnectorError> {
        let channel = self.channel().await?;
        within(channel.close(200, "ping".into())).await
    }

    /// Which generations of its credential this process goes by, for [`crate::keys::KeyRings::with`].
    #[must_use]
    pub fn credentials_in_use(&self) -> KeyUse {
        self.0.generations.in_use(&self.0.source)
    }

    /// Changes whenever there is another connection.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    /// Lets the connection go, so that the next channel is on another one.
    pub(crate) async fn forget(&self) {
        let line = self.0.line.lock().await.take();
        // Whoever still has a channel on it is told; a node that does not answer is not waited for.
        tokio::spawn(async move {
            if let Some(line) = line {
                let _ = within(line.connection.close(320, "no answer".into())).await;
            }
        });
    }

    /// Closes the connection, so that the broker sees an orderly end.
    pub async fn close(&self) {
        if let Some(line) = self.0.line.lock().await.take() {
            let _ = within(line.connection.close(200, "stopping".into())).await;
        }
    }

    async fn line(&self) -> Result<Arc<Line>, ConnectorError> {
        // Held while connecting: who comes meanwhile waits for the same connection instead of making another.
        let mut line = self.0.line.lock().await;
        if let Some(alive) = line.as_ref().filter(|line| line.connection.status().connected()) {
            return Ok(Arc::clone(alive));
        }
        let fresh = self.0.put(&mut line, self.0.connect(self.0.source.read()?).await?);
        tracing::info!("connected to RabbitMQ");
        Ok(fresh)
    }
}

impl Channel {
    /// Whether there is no newer connection than its own.
    pub(crate) fn is_on_newest(&self) -> bool {
        *self.newest.borrow() == self.line.number
    }

    /// Waits until there is a newer one.
    pub(crate) async fn superseded(&self) {
        let number = self.line.number;
        if self.newest.clone().wait_for(|newest| *newest != number).await.is_err() {
            // The connector is gone, and with it whoever could make one.
            std::future::pending::<()>().await;
        }
    }
}

impl Deref for Channel {
    type Target = lapin::Channel;

    fn deref(&self) -> &lapin::Channel {
        &self.inner
    }
}

/// Connects by another URI as soon as the file says so, until nobody holds the connector any more. The first connection is made by who needs it.
async fn follow(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        // A file that cannot be read now is read at the next look, and who needs a connection tells of it.
        let Ok(found) = inner.source.read() else { continue };
        if let Err(error) = inner.replace(found).await {
            tracing::warn!(error = chain(&error), "another URI of RabbitMQ does not work; keeping the old connection");
        }
    }
}

impl Inner {
    /// Puts a connection by another credential in the place of the one there is, if there is one. Who has a channel on that one finishes.
    async fn replace(&self, credential: Credential) -> Result<(), ConnectorError> {
        let needs_another = |line: Option<&Arc<Line>>| line.is_some_and(|line| line.credential != credential);
        if !needs_another(self.line.lock().await.as_ref()) {
            return Ok(());
        }
        // Nobody has to wait for it: the old one still works.
        let fresh = self.connect(credential.clone()).await?;
        let mut line = self.line.lock().await;
        if needs_another(line.as_ref()) {
            self.put(&mut line, fresh);
            tracing::info!("connected to RabbitMQ by another URI");
        }
        Ok(())
    }

    fn put(&self, line: &mut Option<Arc<Line>>, (connection, credential): (Connection, Credential)) -> Arc<Line> {
        let mut number = 0;
        self.newest.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let generation = self.generations.begin(&credential);
        let fresh = Arc::new(Line { connection, credential, number, _generation: generation });
        *line = Some(Arc::clone(&fresh));
        fresh
    }

    async fn connect(&self, credential: Credential) -> Result<(Connection, Credential), ConnectorError> {
        let mut uri: AMQPUri = credential.text.parse().map_err(|_| ConnectorError::Uri)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let authorities = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => std::fs::read_to_string(self.source.path().with_file_name(AUTHORITIES)).ok(),
        };
        let properties = ConnectionProperties::default().with_connection_name(self.name.clone().into());
        let mut addresses = addresses(&uri).await?;
        addresses.shuffle(&mut rand::rng());
        Ok((connect_to_first(&addresses, &uri, &properties, authorities).await?, credential))
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
        f.debug_struct("Connector").field("uri_file", &self.0.source.path()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("connection", &self.line.number).finish_non_exhaustive()
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
