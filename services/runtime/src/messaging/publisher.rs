//! Publishing events.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use contract::event::{EXCHANGE, Envelope};
use lapin::{ExchangeKind, PublisherConfirm, options::ExchangeDeclareOptions, types::FieldTable};
use tokio::sync::{Mutex, watch};

pub use super::confirms::PublishError;
use super::{
    Connector,
    confirms::{ConfirmChannel, confirmed},
    wire,
};
use crate::connect::rabbitmq::within;

/// So many events may await their confirm at a time.
const IN_FLIGHT: usize = 256;

/// Some events of a batch are not known to be published.
#[derive(Debug, thiserror::Error)]
#[error("{confirmed} events were confirmed, then: {source}")]
pub struct PublishFailed {
    /// So many from the batch's start are.
    pub confirmed: usize,
    /// Why not the next.
    pub source: PublishError,
}

/// Publishes to the exchange of all events. Clones share a channel; a broken one is replaced at the next publication.
#[derive(Clone)]
pub struct Publisher(Arc<Inner>);

struct Inner {
    connector: Connector,
    channel: Mutex<Option<Arc<ConfirmChannel>>>,
}

impl Publisher {
    /// A publisher on the connector's connection.
    #[must_use]
    pub fn new(connector: Connector) -> Self {
        let changes = connector.changes();
        let inner = Arc::new(Inner { connector, channel: Mutex::new(None) });
        if let Ok(handle) = tokio::runtime::Handle::try_current() {
            handle.spawn(let_go(Arc::downgrade(&inner), changes));
        }
        Self(inner)
    }

    /// Publishes one event and returns once the broker has confirmed it. After an error it may be there or not: publish it
    /// again, consumers know duplicates by the id.
    pub async fn publish(&self, envelope: &Envelope) -> Result<(), PublishError> {
        self.publish_all(std::slice::from_ref(envelope)).await.map_err(|failed| failed.source)
    }

    /// Publishes events in their order, without waiting for one confirm before sending the next.
    pub async fn publish_all(&self, envelopes: &[Envelope]) -> Result<(), PublishFailed> {
        let mut done = 0;
        for batch in envelopes.chunks(IN_FLIGHT) {
            self.publish_batch(batch)
                .await
                .map_err(|failed| PublishFailed { confirmed: done + failed.confirmed, source: failed.source })?;
            done += batch.len();
        }
        Ok(())
    }

    /// The first event of a kind on a channel goes alone: while the queue that wants it has no leader, the broker rejects what a channel
    /// sends there first, and would take what comes right behind, out of order.
    async fn publish_batch(&self, batch: &[Envelope]) -> Result<(), PublishFailed> {
        let channel = self.channel().await.map_err(|source| PublishFailed { confirmed: 0, source })?;
        let mut done = 0;
        while let Some(first) = batch.get(done) {
            let known = batch[done..].iter().take_while(|envelope| channel.has_taken(envelope.event.kind())).count();
            let count = known.max(1);
            self.publish_run(&channel, &batch[done..done + count])
                .await
                .map_err(|failed| PublishFailed { confirmed: done + failed.confirmed, source: failed.source })?;
            channel.took(first.event.kind());
            done += count;
        }
        Ok(())
    }

    async fn publish_run(&self, channel: &Arc<ConfirmChannel>, run: &[Envelope]) -> Result<(), PublishFailed> {
        let failed = |confirmed, source| PublishFailed { confirmed, source };
        let (sent, error) = send_all(channel, run).await;
        let mut done = 0;
        for confirm in sent {
            if let Err(error) = confirmed(confirm).await {
                self.forget(channel).await;
                return Err(failed(done, error));
            }
            done += 1;
        }
        match error {
            None => Ok(()),
            Some(error) => {
                self.forget(channel).await;
                Err(failed(done, error))
            }
        }
    }

    async fn channel(&self) -> Result<Arc<ConfirmChannel>, PublishError> {
        let mut channel = self.0.channel.lock().await;
        if let Some(usable) = channel.as_ref().filter(|channel| channel.is_usable()) {
            return Ok(Arc::clone(usable));
        }
        let fresh = self.0.connector.channel().await?;
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        within(fresh.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default())).await?;
        let fresh = Arc::new(ConfirmChannel::new(fresh).await?);
        *channel = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// A channel that failed once is not trusted with the order of what comes next.
    async fn forget(&self, failed: &Arc<ConfirmChannel>) {
        let mut channel = self.0.channel.lock().await;
        if channel.as_ref().is_some_and(|current| Arc::ptr_eq(current, failed)) {
            *channel = None;
        }
    }
}

/// Lets the channel go when there is a newer connection than its own, even if nothing is published for long. Who publishes finishes on it.
async fn let_go(publisher: Weak<Inner>, mut changes: watch::Receiver<u64>) {
    while changes.changed().await.is_ok() {
        let Some(publisher) = publisher.upgrade() else { return };
        let mut channel = publisher.channel.lock().await;
        if channel.as_ref().is_some_and(|channel| !channel.is_usable()) {
            *channel = None;
        }
    }
}

async fn send_all(channel: &ConfirmChannel, batch: &[Envelope]) -> (Vec<PublisherConfirm>, Option<PublishError>) {
    let mut sent = Vec::with_capacity(batch.len());
    for envelope in batch {
        let (properties, body) = match wire::encode(envelope) {
            Ok(encoded) => encoded,
            Err(error) => return (sent, Some(error.into())),
        };
        // An event that no queue wants is no fault: perhaps nobody is interested.
        match channel.send(EXCHANGE, envelope.event.kind(), false, properties, &body).await {
            Ok(confirm) => sent.push(confirm),
            Err(error) => return (sent, Some(error.into())),
        }
    }
    (sent, None)
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
