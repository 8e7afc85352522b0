//! One connection to the broker per process, made when it is needed and again when it was lost.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::Mutex;

use super::{CONNECT_TIMEOUT, ConnectError, secret};

/// How soon a dead peer is noticed when no packet says so.
const HEARTBEAT_SECONDS: u16 = 10;

/// Why there is no channel to the broker.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The address is not known.
    #[error(transparent)]
    Address(#[from] ConnectError),
    /// The address is not an AMQP URI.
    #[error("the RabbitMQ URI cannot be used: {0}")]
    Uri(String),
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
    /// as it is needed. `name` is what the broker's overview shows.
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
        let mut uri: lapin::uri::AMQPUri = secret(&self.0.uri_file)?.parse().map_err(ConnectorError::Uri)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let properties = ConnectionProperties::default().with_connection_name(self.0.name.clone().into());
        let fresh = Arc::new(within(Connection::connect_uri(uri, properties)).await?);
        tracing::info!("connected to RabbitMQ");
        *connection = Some(Arc::clone(&fresh));
        Ok(fresh)
    }
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

/// Waiting times that double with each failure, with jitter so that many clients do not come back at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// Starts over after a success.
    pub(crate) fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// How long to wait after one more failure: between half the present time and all of it.
    pub(crate) fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(Self::LONGEST);
        wait.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_over_after_a_success() {
        let mut backoff = Backoff::new();
        let mut bound = Backoff::FIRST;
        for _ in 0..20 {
            let wait = backoff.failed();
            assert!(wait <= bound && wait >= bound / 2, "{wait:?} is not within half of {bound:?}");
            bound = (bound * 2).min(Backoff::LONGEST);
        }
        backoff.reset();
        assert!(backoff.failed() <= Backoff::FIRST);
    }
}
