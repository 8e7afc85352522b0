//! Events through the broker: published with confirms, consumed from quorum queues with delayed retries and a
//! dead-letter queue.

mod confirms;
mod consumer;
mod publisher;
mod topology;
mod wire;

pub use consumer::{Consumer, ConsumerSettings, Outcome, depth};
pub use publisher::{PublishError, PublishFailed, Publisher};
pub use topology::Topology;

/// The connection that publishers and consumers share.
pub use crate::connect::rabbitmq::Connector;
