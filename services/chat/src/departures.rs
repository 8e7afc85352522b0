//! What becomes of conversations when an account ends.
//!
//! The auth service tells by `user.deleted`, which may come more than once. Sockets are closed by then: their sessions ended with the
//! account. What somebody said stays, as others have it; who asks for the name behind it is told that there is no such user.

use std::time::Duration;

use contract::event::{Envelope, Event};
use contract::id::UserId;
use runtime::messaging::{ConsumerSettings, Outcome};

use crate::conversations::{ConversationError, Conversations};
use crate::names::Names;
use crate::store::StoreError;

/// The queue. All that belongs to it in the broker is named below it.
pub const QUEUE: &str = "chat.accounts";

const KINDS: &[&str] = &["user.deleted"];

/// Has people leave whose account is gone.
#[derive(Clone)]
pub struct Departures {
    conversations: Conversations,
    names: Names,
}

/// How events are consumed. Only a database that is away makes one fail, so the retries last longer than such a thing should: about four
/// hours, every ten minutes in the end.
#[must_use]
pub fn settings() -> ConsumerSettings {
    let first = [1, 10, 60].into_iter();
    let delays = first.chain(std::iter::repeat_n(600, 24)).map(Duration::from_secs).collect();
    // One account at a time: each may take many transactions.
    ConsumerSettings { delays, concurrency: 1, ..ConsumerSettings::new(QUEUE, KINDS) }
}

#[derive(Debug, thiserror::Error)]
enum DepartureError {
    #[error(transparent)]
    Conversation(#[from] ConversationError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Departures {
    /// From these conversations, and out of these names.
    #[must_use]
    pub fn new(conversations: Conversations, names: Names) -> Self {
        Self { conversations, names }
    }

    /// Deals with one event.
    pub async fn handle(&self, envelope: Envelope) -> Outcome {
        let Event::UserDeleted(gone) = envelope.event else {
            return Outcome::DeadLetter(format!("events of type {} are none of ours", envelope.event.kind()));
        };
        match self.forget(gone.user_id).await {
            Ok(left) => {
                tracing::info!(user = %gone.user_id, left, "an account is gone");
                Outcome::Ack
            }
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }

    /// The name first, so that nobody is mentioned who is about to be gone.
    async fn forget(&self, user: UserId) -> Result<usize, DepartureError> {
        self.names.forget(user).await?;
        Ok(self.conversations.depart(user).await?)
    }
}
