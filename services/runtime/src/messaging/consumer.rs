//! Consuming events: at least once, each until it is done, retried later, or laid aside.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use contract::{
    event::{EXCHANGE, Envelope},
    trace::TraceParent,
};
use futures::{FutureExt, StreamExt};
use lapin::{
    ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
        ExchangeDeclareOptions,
    },
    types::FieldTable,
};

use super::{
    Connector, Topology,
    confirms::{ConfirmChannel, PublishError, confirmed},
    topology, wire,
};
use crate::{
    backoff::Backoff,
    connect::rabbitmq::{ConnectorError, within},
    shutdown::Shutdown,
    telemetry::chain,
    trace,
};

/// Queues are replicated: each takes an election before it is declared, and there are several.
const DECLARE_WITHIN: Duration = Duration::from_secs(30);

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is dealt with.
    Ack,
    /// Not now: try again after the next delay. After the last one it becomes a dead letter.
    Retry(String),
    /// Never: it becomes a dead letter at once.
    DeadLetter(String),
}

/// What a consumer consumes and how.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// Name of its queue; everything else it declares is named below it.
    pub queue: &'static str,
    /// Types of the events it wants.
    pub kinds: &'static [&'static str],
    /// How many it handles at a time; the broker sends twice as many ahead.
    pub concurrency: u16,
    /// How long to wait after the first failure, the second, and so on.
    pub delays: Vec<Duration>,
    /// After so long without an event it subscribes anew. A broker that changed the leader of a queue may hold events for delivered that
    /// never were (rabbitmq-server issue 15473): they come again with the next subscription, and so does a queue or binding that
    /// somebody removed.
    pub idle: Duration,
}

impl ConsumerSettings {
    /// Settings for `queue` that suit most work: 16 at a time, five retries within an hour.
    #[must_use]
    pub fn new(queue: &'static str, kinds: &'static [&'static str]) -> Self {
        let delays = [1, 10, 60, 600, 3600].map(Duration::from_secs).to_vec();
        Self { queue, kinds, concurrency: 16, delays, idle: Duration::from_mins(1) }
    }

    /// What belongs to this consumer in the broker.
    #[must_use]
    pub fn topology(&self) -> Topology {
        Topology::new(self.queue, &self.delays)
    }
}

/// Consumes events until the service stops, across failures of the broker.
#[derive(Debug)]
#[must_use = "a consumer does nothing until it is run"]
pub struct Consumer {
    connector: Connector,
    settings: ConsumerSettings,
}

/// Why a subscription is over, in good order.
enum Over {
    /// The service stops.
    Stopping,
    /// Nothing has come for a while.
    Idle,
    /// There is a newer connection.
    Superseded,
}

#[derive(Debug, thiserror::Error)]
enum ConsumeError {
    #[error(transparent)]
    Connect(#[from] ConnectorError),
    #[error("the broker failed")]
    Broker(#[from] lapin::Error),
    #[error("a delivery could not be passed on")]
    PassOn(#[from] PublishError),
    #[error("the broker ended the subscription")]
    Ended,
}

impl Consumer {
    /// A consumer on the connector's connection.
    pub fn new(connector: Connector, settings: ConsumerSettings) -> Self {
        Self { connector, settings }
    }

    /// Calls `handle` for each event until the soft phase of the stop, then ends what is in hand. An event is handled again
    /// after a crash, a lost connection or a retry: `handle` has to know the ids it has dealt with. A panic is a retry.
    pub async fn run<H, F>(self, shutdown: Shutdown, handle: H)
    where
        H: Fn(Envelope) -> F + Send + Sync,
        F: Future<Output = Outcome> + Send,
    {
        let mut backoff = Backoff::new();
        while !shutdown.soft().is_cancelled() {
            match self.consume(&shutdown, &handle, &mut backoff).await {
                Ok(Over::Stopping) => break,
                Ok(Over::Idle | Over::Superseded) => {}
                Err(error) => {
                    if matches!(error, ConsumeError::Connect(ConnectorError::Timeout)) {
                        // A node may take connections and be stuck all the same: the next connection may lead to another.
                        self.connector.forget().await;
                    }
                    let wait = backoff.failed();
                    tracing::warn!(queue = self.settings.queue, error = chain(&error), "consuming again in {wait:?}");
                    let _ = shutdown.soft().run_until_cancelled(tokio::time::sleep(wait)).await;
                }
            }
        }
        tracing::info!(queue = self.settings.queue, "stopped consuming");
    }

    async fn consume<H, F>(&self, shutdown: &Shutdown, handle: &H, backoff: &mut Backoff) -> Result<Over, ConsumeError>
    where
        H: Fn(Envelope) -> F + Send + Sync,
        F: Future<Output = Outcome> + Send,
    {
        let topology = self.settings.topology();
        self.declare(&topology).await?;
        let channel = self.connector.channel().await?;
        let passing_on = Arc::new(ConfirmChannel::new(self.connector.channel().await?).await?);
        within(channel.basic_qos(self.settings.concurrency.saturating_mul(2), BasicQosOptions::default())).await?;
        let (queue, options) = (self.settings.queue.into(), BasicConsumeOptions::default());
        let consumer = within(channel.basic_consume(queue, "".into(), options, FieldTable::default())).await?;
        tracing::debug!(queue = self.settings.queue, "consuming");
        backoff.reset();

        let tag = consumer.tag();
        let mut ends = std::pin::pin!(async {
            tokio::select! {
                () = shutdown.soft().cancelled() => {}
                () = channel.superseded() => {}
            }
        });
        let deliveries = consumer.take_until(&mut ends);
        let in_hand = AtomicUsize::new(0);
        let mut at_work = std::pin::pin!(
            deliveries
                .map(|delivery| {
                    in_hand.fetch_add(1, Ordering::Relaxed);
                    async {
                        let dealt_with = match delivery {
                            Ok(delivery) => self.deal_with(delivery, &topology, &passing_on, handle).await,
                            Err(error) => Err(error.into()),
                        };
                        in_hand.fetch_sub(1, Ordering::Relaxed);
                        dealt_with
                    }
                })
                .buffer_unordered(usize::from(self.settings.concurrency.max(1)))
        );
        let over = loop {
            match tokio::time::timeout(self.settings.idle, at_work.next()).await {
                Ok(Some(dealt_with)) => dealt_with?,
                Ok(None) if shutdown.soft().is_cancelled() => break Over::Stopping,
                Ok(None) if !channel.is_on_newest() && channel.status().connected() => break Over::Superseded,
                Ok(None) => return Err(ConsumeError::Ended),
                Err(_) if in_hand.load(Ordering::Relaxed) == 0 => break Over::Idle,
                Err(_) => {}
            }
        };
        within(channel.basic_cancel(tag, BasicCancelOptions::default())).await?;
        // What the broker sent ahead goes back to the queue with the channel.
        within(channel.close(200, "over".into())).await?;
        Ok(over)
    }

    /// Declares the queues; should the exchange of events be missing, it too, if that is allowed.
    async fn declare(&self, topology: &Topology) -> Result<(), ConsumeError> {
        let channel = self.connector.channel().await?;
        let declared = tokio::time::timeout(DECLARE_WITHIN, topology.declare(&channel, self.settings.kinds)).await;
        let Err(error) = declared.map_err(|_| ConnectorError::Timeout).and_then(|outcome| Ok(outcome?)) else {
            let _ = within(channel.close(200, "declared".into())).await;
            return Ok(());
        };
        // The error has closed the channel.
        if let Ok(channel) = self.connector.channel().await {
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let arguments = FieldTable::default();
            let _ = within(channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, arguments)).await;
            let _ = within(channel.close(200, "declared".into())).await;
        }
        Err(error.into())
    }

    async fn deal_with<H, F>(
        &self,
        delivery: Delivery,
        topology: &Topology,
        passing_on: &ConfirmChannel,
        handle: &H,
    ) -> Result<(), ConsumeError>
    where
        H: Fn(Envelope) -> F + Send + Sync,
        F: Future<Output = Outcome> + Send,
    {
        let (outcome, parent) = match wire::decode(&delivery.properties, &delivery.data) {
            Ok(envelope) => {
                let parent = envelope.trace_parent.map_or_else(TraceParent::start, TraceParent::child);
                let handling = AssertUnwindSafe(trace::scope(parent, "event", handle(envelope))).catch_unwind();
                (handling.await.unwrap_or_else(|_| Outcome::Retry("the handler panicked".to_owned())), parent)
            }
            Err(error) => (Outcome::DeadLetter(error.to_string()), TraceParent::start()),
        };
        trace::scope(parent, "event", settle(delivery, outcome, topology, passing_on)).await
    }
}

/// Tells the broker. What is passed on is confirmed there before it is acknowledged here, so that it is never in neither.
async fn settle(
    delivery: Delivery,
    outcome: Outcome,
    topology: &Topology,
    passing_on: &ConfirmChannel,
) -> Result<(), ConsumeError> {
    let attempts = wire::attempts(&delivery.properties) + 1;
    let (key, reason) = match outcome {
        Outcome::Ack => {
            within(delivery.acker.ack(BasicAckOptions::default())).await?;
            return Ok(());
        }
        Outcome::Retry(reason) => match topology.delay_key(attempts) {
            Some(key) => (key, reason),
            None => (topology::DEAD.to_owned(), format!("gave up after {attempts} attempts: {reason}")),
        },
        Outcome::DeadLetter(reason) => (topology::DEAD.to_owned(), reason),
    };
    let kind = wire::text(&delivery.properties, contract::event::header::TYPE);
    if key == topology::DEAD {
        tracing::error!(queue = topology.queue(), kind, attempts, reason, "an event became a dead letter");
    } else {
        tracing::warn!(queue = topology.queue(), kind, attempts, reason, "an event will be tried again later");
    }
    let properties = wire::failed(&delivery.properties, attempts, &reason);
    let passed_on = async {
        let sent = passing_on.send(&topology.router(), &key, true, properties, &delivery.data).await?;
        confirmed(sent).await
    };
    match passed_on.await {
        Ok(()) => within(delivery.acker.ack(BasicAckOptions::default())).await?,
        Err(error) => {
            // Back to the queue; the broker counts such returns and gives up at its own limit.
            let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            let _ = within(delivery.acker.nack(options)).await;
            return Err(error.into());
        }
    };
    Ok(())
}

/// The number of messages in a queue, for tests, metrics and people.
pub async fn depth(channel: &lapin::Channel, queue: &str) -> Result<u32, lapin::Error> {
    let options = lapin::options::QueueDeclareOptions::durable().passive();
    Ok(channel.queue_declare(queue.into(), options, FieldTable::default()).await?.message_count())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ack => f.write_str("done"),
            Self::Retry(reason) => write!(f, "to be tried again: {reason}"),
            Self::DeadLetter(reason) => write!(f, "a dead letter: {reason}"),
        }
    }
}
