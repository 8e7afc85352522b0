//! A channel in confirm mode: what it says is published, the broker has.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    BasicProperties, Confirmation, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};

use crate::connect::rabbitmq::{Channel, ConnectorError, within};

/// How long the broker may take to confirm; a quorum queue that elects a leader takes a second or two.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(15);

/// Why something is not known to be published. It may be all the same: publish it again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectorError),
    /// The connection broke or the broker refused.
    #[error("the broker did not take the event")]
    Broker(#[from] lapin::Error),
    /// The broker said no.
    #[error("the broker rejected the event")]
    Rejected,
    /// No queue wants it.
    #[error("the event was returned: {0}")]
    Returned(String),
    /// The broker said nothing.
    #[error("the broker did not confirm within {} s", CONFIRM_TIMEOUT.as_secs())]
    Timeout,
    /// The event cannot be written as JSON.
    #[error("the event cannot be encoded")]
    Encode(#[from] serde_json::Error),
}

pub(super) struct ConfirmChannel {
    channel: Channel,
    /// Kinds of events of which the broker has confirmed one on this channel.
    taken: Mutex<BTreeSet<&'static str>>,
}

impl ConfirmChannel {
    pub(super) async fn new(channel: Channel) -> Result<Self, ConnectorError> {
        within(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Self { channel, taken: Mutex::default() })
    }

    pub(super) fn has_taken(&self, kind: &'static str) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains(kind)
    }

    pub(super) fn took(&self, kind: &'static str) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(kind);
    }

    /// Whether it takes what is to be published next: it is there, and no newer connection is.
    pub(super) fn is_usable(&self) -> bool {
        self.channel.status().connected() && self.channel.is_on_newest()
    }

    /// Sends; the confirm comes later. Two sends one after the other arrive in that order.
    pub(super) async fn send(
        &self,
        exchange: &str,
        key: &str,
        mandatory: bool,
        properties: BasicProperties,
        body: &[u8],
    ) -> Result<PublisherConfirm, ConnectorError> {
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        within(self.channel.basic_publish(exchange.into(), key.into(), options, body, properties)).await
    }
}

/// Waits for one confirm.
pub(super) async fn confirmed(confirm: PublisherConfirm) -> Result<(), PublishError> {
    match tokio::time::timeout(CONFIRM_TIMEOUT, confirm).await {
        Ok(Ok(Confirmation::Ack(None))) => Ok(()),
        Ok(Ok(Confirmation::Ack(Some(returned)))) => Err(PublishError::Returned(returned.reply_text.to_string())),
        // Not requested cannot be: the channel is in confirm mode from its first moment.
        Ok(Ok(Confirmation::Nack(_) | Confirmation::NotRequested)) => Err(PublishError::Rejected),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(PublishError::Timeout),
    }
}
