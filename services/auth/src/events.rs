//! Events of accounts: made here, kept in the account's own document until they have left.

use contract::event::{Envelope, Event};
use contract::id::UserId;
use jiff::Timestamp;
use runtime::clock::Clock;
use runtime::outbox::Waker;
use runtime::trace;

use crate::SERVICE;

/// Wraps events and sees that they leave.
#[derive(Clone, Debug)]
pub struct Events {
    waker: Waker,
    clock: Clock,
}

impl Events {
    /// Events whose relay `waker` wakes.
    #[must_use]
    pub fn new(waker: Waker, clock: Clock) -> Self {
        Self { waker, clock }
    }

    /// `event` of this moment, as part of the request in hand.
    pub fn envelope(&self, event: impl Into<Event>) -> Envelope {
        Envelope::new(SERVICE, event.into(), trace::current(), self.clock.now(), &mut rand::rng())
    }

    /// The account's document has an event to be sent.
    pub fn wake(&self, user: UserId) {
        self.waker.wake(user.to_string());
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
