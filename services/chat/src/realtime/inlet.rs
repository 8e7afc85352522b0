//! What the task that hands changes to sockets is told.

use std::collections::HashSet;
use std::time::Duration;

use contract::id::{ConversationId, UserId};
use jiff::Timestamp;
use redis::RedisError;
use tokio::sync::mpsc;

use super::Live;
use super::fetch::Fetched;
use crate::store::{StoreError, StoredConversation};

/// Where changes come in. Clones lead to the same place.
#[derive(Clone, Debug)]
pub struct Inlet(mpsc::UnboundedSender<Input>);

/// What comes in.
#[derive(Debug)]
pub(super) enum Input {
    /// Changes, of this replica or another.
    Offered(Vec<Live>),
    /// For so long, the others were not heard.
    Missed(Duration),
    /// What was fetched, or of which conversation nothing could be.
    Fetched(Result<Box<Fetched>, (ConversationId, StoreError)>),
    /// What a look found.
    Looked(Look, Result<Vec<StoredConversation>, StoreError>),
    /// Who is online.
    Called(Result<HashSet<UserId>, RedisError>),
    /// Somebody was shown that these are online: should they go and nobody tell of it, that is to be noticed.
    Shown(Vec<UserId>),
    /// Those whom it concerns could not be told that a user came or went.
    Untold(UserId, bool),
}

/// A look at what has changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// When it began.
    pub(super) began: Timestamp,
    /// From when on it looked.
    pub(super) since: Timestamp,
    /// Whether all that is found is to be shown again, as what has no number was missed as well.
    pub(super) again: bool,
}

impl Inlet {
    /// Changes that have been stored.
    pub fn offer(&self, live: Vec<Live>) {
        self.send(Input::Offered(live));
    }

    /// For so long, nothing was heard of what the other replicas said.
    pub fn missed(&self, deaf_for: Duration) {
        self.send(Input::Missed(deaf_for));
    }

    pub(super) fn send(&self, input: Input) {
        // Only at the end of the process is there nobody to take it.
        let _ = self.0.send(input);
    }
}

/// An inlet, and what will become a [`Delivery`].
#[must_use]
pub fn inlet() -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Inlet(sender), Outlet(receiver))
}

/// The other end of an [`Inlet`].
#[derive(Debug)]
pub struct Outlet(pub(super) mpsc::UnboundedReceiver<Input>);
