//! What the service does about events.
//!
//! An event may be delivered more than once, and after a later one; each is dealt with so that this changes nothing: a notification is
//! unique by user and message, a letter by event, and what is known of a user is as new as the newest event.

mod letters;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use contract::event::{ConversationRead, Envelope, Event, MessageCreated};
use contract::id::UserId;
use runtime::{
    clock::Clock,
    messaging::{ConsumerSettings, Outcome},
};
use tokio::sync::Notify;

use crate::{
    absence::absent_members,
    contact::Contact,
    counters::Counters,
    store::{Contacts, Devices, Letters, Notifications, Preferences, ReadMarks, notifications::Told},
};

/// The queue. All that belongs to it in the broker is named below it.
pub const QUEUE: &str = "notification.events";

/// The events it wants.
const KINDS: &[&str] = &[
    "conversation.read",
    "message.created",
    "session.revoked",
    "user.deleted",
    "user.email-changed",
    "user.email-verification-requested",
    "user.password-changed",
    "user.password-reset-requested",
    "user.registered",
    "user.second-step-changed",
    "user.updated",
];

/// Deals with events.
#[derive(Clone, Debug)]
pub struct Handler {
    /// Where notifications are stored.
    pub notifications: Notifications,
    /// Where contacts are kept.
    pub contacts: Contacts,
    /// Where letters about accounts wait to be sent.
    pub letters: Letters,
    /// The devices that users have registered.
    pub devices: Devices,
    /// How users want to be told.
    pub preferences: Preferences,
    /// How far users have read.
    pub read_marks: ReadMarks,
    /// Whether there is a mail server: without one nobody is written to.
    pub by_email: bool,
    /// Whether devices are told.
    pub by_push: bool,
    /// Tells the time.
    pub clock: Clock,
    /// Counts what happens.
    pub counters: Counters,
    /// Rings when something has become due.
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
        if let Err(error) = self.write_letter(&envelope).await {
            return Outcome::Retry(format!("the database: {error}"));
        }
        let at = envelope.time;
        let done = match envelope.event {
            Event::MessageCreated(message) => self.message_created(&message).await,
            Event::ConversationRead(read) => self.conversation_read(&read).await,
            Event::UserRegistered(user) => self.contacts.add(&Contact::from(&user)).await,
            Event::EmailChanged(change) => self.contacts.change_email(&Contact::from(&change), at).await,
            Event::UserUpdated(user) => self.contacts.change_name(user.user_id, &user.display_name, at).await,
            Event::UserDeleted(user) => self.forget(user.user_id).await,
            Event::EmailVerificationRequested(_)
            | Event::PasswordResetRequested(_)
            | Event::PasswordChanged(_)
            | Event::SecondStepChanged(_) => Ok(()),
            Event::SessionRevoked(revoked) => self.devices.end_session(revoked.session_id).await,
            other => return Outcome::DeadLetter(format!("events of type {} are none of ours", other.kind())),
        };
        match done {
            Ok(()) => Outcome::Ack,
            Err(error) => Outcome::Retry(format!("the database: {error}")),
        }
    }

    /// Forgets a user who is gone: first where to reach them, so that nothing new is sent.
    async fn forget(&self, user: UserId) -> Result<(), mongodb::error::Error> {
        self.contacts.forget(user).await?;
        self.devices.forget(user).await?;
        self.preferences.forget(user).await?;
        self.letters.forget(user).await?;
        self.read_marks.forget(user).await?;
        self.notifications.forget(user).await
    }

    async fn message_created(&self, message: &MessageCreated) -> Result<(), mongodb::error::Error> {
        let mut absent = absent_members(message);
        // That somebody has read may be known before what they have read: the two come by different ways.
        for reader in self.read_marks.past(message.conversation_id, message.seq, &absent).await? {
            absent.remove(&reader);
        }
        if absent.is_empty() {
            return Ok(());
        }
        let by_push = if self.by_push { self.devices.owners(&absent).await? } else { BTreeSet::new() };
        let told = Told { by_email: self.by_email, by_push };
        let stored = self.notifications.store(message, &absent, &told, self.clock.now()).await?;
        self.counters.notifications_stored.inc_by(stored);
        tracing::info!(message = %message.message_id, absent = absent.len(), stored, "notified");
        if stored > 0 {
            // Who has read in this very moment saw nothing here to be marked.
            for reader in self.read_marks.past(message.conversation_id, message.seq, &absent).await? {
                let (conversation, now) = (message.conversation_id, self.clock.now());
                self.notifications.mark_read_up_to(reader, conversation, message.seq, now).await?;
            }
            self.bell.notify_waiters();
        }
        Ok(())
    }

    async fn conversation_read(&self, read: &ConversationRead) -> Result<(), mongodb::error::Error> {
        let (now, ConversationRead { conversation_id, user_id, seq }) = (self.clock.now(), *read);
        self.read_marks.note(conversation_id, user_id, seq, now).await?;
        self.notifications.mark_read_up_to(user_id, conversation_id, seq, now).await
    }
}
