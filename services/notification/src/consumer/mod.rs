//! What the service does about events.
//!
//! An event may be delivered more than once; each is dealt with so that the second time changes nothing: a notification is unique by
//! user and message, a contact by user.

use std::{sync::Arc, time::Duration};

use contract::event::{Envelope, Event, MessageCreated};
use runtime::{
    clock::Clock,
    messaging::{ConsumerSettings, Outcome},
};
use tokio::sync::Notify;

use crate::{
    absence::absent_members,
    contact::Contact,
    counters::Counters,
    store::{Contacts, Notifications},
};

/// The queue. All that belongs to it in the broker is named below it.
pub const QUEUE: &str = "notification.events";

/// The events it wants.
const KINDS: &[&str] = &["message.created", "user.registered"];

/// Deals with events.
#[derive(Clone, Debug)]
pub struct Handler {
    /// Where notifications are stored.
    pub notifications: Notifications,
    /// Where contacts are kept.
    pub contacts: Contacts,
    /// Whether notifications are to be sent by e-mail too.
    pub by_email: bool,
    /// Tells the time.
    pub clock: Clock,
    /// Counts what happens.
    pub counters: Counters,
    /// Rings when an e-mail has become due.
    pub bell: Arc<Notify>,
}

/// How events are consumed. Only a database that is away makes one fail, so the retries last longer than such a thing should: about
/// four hours, every ten minutes in the end.
#[must_use]
pub fn settings() -> ConsumerSettings {
    let first = [1, 10, 60].into_iter();
    let delays = first.chain(std::iter::repeat_n(600, 24)).map(Duration::from_secs).collect();
    ConsumerSettings { delays, ..ConsumerSettings::new(QUEUE, KINDS) }
}

impl Handler {
    /// Deals with one event.
    pub async fn handle(&self, envelope: Envelope) -> Outcome {
        let done = match envelope.event {
            Event::MessageCreated(message) => self.message_created(&message).await,
            Event::UserRegistered(user) => self.contacts.put(&Contact::from(user)).await,
            other => return Outcome::DeadLetter(format!("events of type {} are none of ours", other.kind())),
        };
        match done {
            Ok(()) => Outcome::Ack,
            Err(error) => Outcome::Retry(format!("the database: {error}")),
        }
    }

    async fn message_created(&self, message: &MessageCreated) -> Result<(), mongodb::error::Error> {
        let absent = absent_members(message);
        if absent.is_empty() {
            return Ok(());
        }
        let stored = self.notifications.store(message, &absent, self.by_email, self.clock.now()).await?;
        self.counters.notifications_stored.inc_by(stored);
        tracing::info!(message = %message.message_id, absent = absent.len(), stored, "notified");
        if self.by_email && stored > 0 {
            self.bell.notify_waiters();
        }
        Ok(())
    }
}
