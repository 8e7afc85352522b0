//! Turns at writing to a conversation.
//!
//! `MongoDB` would let one of two transactions on the same conversation fail and run again; within one process it is cheaper to wait.
//! It also keeps what is published after each transaction in the order of the transactions.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

const STRIPES: usize = 1024;

/// One lock for each of many stripes of things. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns {
    stripes: Arc<[Arc<Mutex<()>>]>,
    hasher: RandomState,
}

/// The turn; it ends when dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held for its drop")] OwnedMutexGuard<()>);

impl Turns {
    /// Waits for the turn at `what`: first come, first served.
    pub async fn take(&self, what: impl Hash) -> Turn {
        let hash = self.hasher.hash_one(what);
        let stripe = usize::try_from(hash % STRIPES as u64).unwrap_or(0);
        Turn(Arc::clone(&self.stripes[stripe]).lock_owned().await)
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }
}
