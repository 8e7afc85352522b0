//! A consumer of events that notes when each came.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::interrupt;

/// Where services publish to.
pub(super) const EXCHANGE: &str = "chat.events";
/// A queue as the notification service has one.
const QUEUE: &str = "bench";
/// So many may be on their way to us.
const PREFETCH: u16 = 500;
const POLL: Duration = Duration::from_millis(5);
/// A broker that has just started may need that long.
const SILENCE: Duration = Duration::from_mins(1);

/// Events that have come, until it is dropped.
pub(super) struct Consumer {
    consumed: Arc<Mutex<Vec<Consumed>>>,
    working: JoinHandle<()>,
    _connection: Connection,
}

/// An event.
#[derive(Clone, Debug)]
pub(super) struct Consumed {
    pub(super) conversation: String,
    pub(super) seq: u64,
    pub(super) at: Instant,
    /// As it came.
    pub(super) data: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    conversation_id: String,
    seq: u64,
}

impl Consumer {
    /// Consumes from a queue that is made if it is not there yet.
    pub(super) async fn start(uri: &str) -> Result<Self> {
        let connection = Connection::connect(uri, ConnectionProperties::default()).await.context("no broker")?;
        let channel = connection.create_channel().await?;
        bind(&channel).await.context("no queue")?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let mut deliveries = channel
            .basic_consume(QUEUE.into(), "bench".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await?;
        let consumed = Arc::<Mutex<Vec<Consumed>>>::default();
        let kept = Arc::clone(&consumed);
        let working = tokio::spawn(async move {
            // Its end is seen by what does not come.
            let mut known = HashSet::new();
            while let Some(Ok(delivery)) = deliveries.next().await {
                let at = Instant::now();
                let Ok(Data { conversation_id: conversation, seq }) = serde_json::from_slice(&delivery.data) else {
                    continue;
                };
                // At least once is promised; the first time counts.
                if known.insert((conversation.clone(), seq)) {
                    let event = Consumed { conversation, seq, at, data: delivery.data.clone() };
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                }
                if delivery.ack(BasicAckOptions::default()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { consumed, working, _connection: connection })
    }

    /// Waits until so many have come, and hands them over.
    pub(super) async fn take(&self, count: usize) -> Result<Vec<Consumed>> {
        let mut last = (0, Instant::now());
        loop {
            interrupt::check()?;
            let come = self.consumed.lock().unwrap_or_else(PoisonError::into_inner).len();
            if come >= count {
                return Ok(std::mem::take(&mut *self.consumed.lock().unwrap_or_else(PoisonError::into_inner)));
            }
            if come != last.0 {
                last = (come, Instant::now());
            }
            ensure!(last.1.elapsed() < SILENCE, "only {come} of {count} events have come");
            sleep(POLL).await;
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.working.abort();
    }
}

async fn bind(channel: &Channel) -> Result<(), lapin::Error> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await?;
    let options = QueueBindOptions::default();
    channel.queue_bind(QUEUE.into(), EXCHANGE.into(), "message.*".into(), options, FieldTable::default()).await
}
