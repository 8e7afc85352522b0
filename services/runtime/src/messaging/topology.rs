//! The queues of a consumer, all under its queue's name so that its rights in the broker can be limited to them:
//!
//! ```text
//! chat.events --(routing keys)--> Q --(rejected, or delivered too often)--> Q.router --dead--> Q.dead
//!                                 ^ \--(handler wants a retry)--> Q.router --delay.N--> Q.delay.N --(after N ms)--\
//!                                 \---------------------------------- Q.router <--work-----------------------------/
//! ```

use std::time::Duration;

use contract::event::EXCHANGE;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

/// How often the broker itself delivers a message again (its consumer died over it) before it is a dead letter.
const DELIVERY_LIMIT: i64 = 20;

pub(super) const WORK: &str = "work";
pub(super) const DEAD: &str = "dead";

/// Names of what belongs to a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    queue: String,
    delays: Vec<Duration>,
}

impl Topology {
    pub(super) fn new(queue: &str, delays: &[Duration]) -> Self {
        Self { queue: queue.to_owned(), delays: delays.to_vec() }
    }

    /// Where work waits.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Where work ends that cannot be done.
    #[must_use]
    pub fn dead_letters(&self) -> String {
        format!("{}.{DEAD}", self.queue)
    }

    pub(super) fn router(&self) -> String {
        format!("{}.router", self.queue)
    }

    /// The routing key of the delay after `attempts` failures; none once there were more than delays.
    pub(super) fn delay_key(&self, attempts: u32) -> Option<String> {
        let delay = self.delays.get(usize::try_from(attempts).ok()?.checked_sub(1)?)?;
        Some(format!("delay.{}", delay.as_millis()))
    }

    /// Declares all of it; what is there already stays. The exchange of events must exist.
    pub(super) async fn declare(&self, channel: &Channel, bindings: &[&str]) -> Result<(), lapin::Error> {
        let (queue, router) = (self.queue.as_str(), self.router());
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(router.as_str().into(), ExchangeKind::Direct, options, FieldTable::default()).await?;

        declare_queue(channel, &self.dead_letters(), []).await?;
        bind(channel, &self.dead_letters(), &router, DEAD).await?;

        let limit = ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT));
        let [dead_exchange, dead_key, at_least_once, overflow] = dead_lettering(&router, DEAD);
        declare_queue(channel, queue, [limit, dead_exchange, dead_key, at_least_once, overflow]).await?;
        bind(channel, queue, &router, WORK).await?;

        for delay in &self.delays {
            let milliseconds = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
            let key = format!("delay.{milliseconds}");
            let name = format!("{queue}.{key}");
            let ttl = ("x-message-ttl", AMQPValue::LongLongInt(milliseconds));
            let [work_exchange, work_key, at_least_once, overflow] = dead_lettering(&router, WORK);
            declare_queue(channel, &name, [ttl, work_exchange, work_key, at_least_once, overflow]).await?;
            bind(channel, &name, &router, &key).await?;
        }
        for kind in bindings {
            bind(channel, queue, EXCHANGE, kind).await?;
        }
        Ok(())
    }
}

/// Dead-lettering that loses nothing when the broker fails in the middle of it; it wants `reject-publish` on overflow.
fn dead_lettering(exchange: &str, key: &str) -> [(&'static str, AMQPValue); 4] {
    let text = |text: &str| AMQPValue::LongString(text.into());
    [
        ("x-dead-letter-exchange", text(exchange)),
        ("x-dead-letter-routing-key", text(key)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ]
}

async fn declare_queue<const N: usize>(
    channel: &Channel,
    name: &str,
    more: [(&str, AMQPValue); N],
) -> Result<(), lapin::Error> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    for (key, value) in more {
        arguments.insert(key.into(), value);
    }
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), lapin::Error> {
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), QueueBindOptions::default(), FieldTable::default())
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_waits_longer_until_there_are_no_delays_left() {
        let topology = Topology::new("post.letters", &[Duration::from_secs(1), Duration::from_mins(1)]);
        assert_eq!(topology.delay_key(1).as_deref(), Some("delay.1000"));
        assert_eq!(topology.delay_key(2).as_deref(), Some("delay.60000"));
        assert_eq!(topology.delay_key(3), None);
        assert_eq!(topology.delay_key(0), None);
    }

    #[test]
    fn everything_is_named_under_the_queue() {
        let topology = Topology::new("post.letters", &[]);
        assert_eq!(topology.dead_letters(), "post.letters.dead");
        assert_eq!(topology.router(), "post.letters.router");
    }
}
