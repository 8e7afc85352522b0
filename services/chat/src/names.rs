//! By which names users can be mentioned: those that stand in their access tokens, remembered when they are seen.
//!
//! A token holds the name of the time of its issue and lasts ten minutes, so a user who renames themselves is known by the new name as soon as
//! they are seen with their next token.

use std::time::Duration;

use contract::id::UserId;
use moka::sync::Cache;
use runtime::identity::Identity;
use tokio::time::timeout;

use crate::store::{Store, StoreError};

const MOST_KEPT: u64 = 50_000;
/// What another replica has written is overwritten after so long at the latest.
const KEPT_FOR: Duration = Duration::from_mins(10);
/// How long a request waits for a name to be written. If it takes longer, the next one tries again.
const QUICK: Duration = Duration::from_millis(500);

/// Remembers names. Clones share what they know.
#[derive(Clone)]
pub struct Names {
    store: Store,
    written: Cache<UserId, String>,
}

impl Names {
    /// Kept in the store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, written: Cache::builder().max_capacity(MOST_KEPT).time_to_live(KEPT_FOR).build() }
    }

    /// A user is gone: nobody of that name is mentioned any more.
    pub async fn forget(&self, user: UserId) -> Result<(), StoreError> {
        self.store.forget_name(user).await
    }

    /// A user was here. Never fails: who cannot be mentioned can chat all the same.
    pub async fn saw(&self, identity: &Identity) {
        let (user, name) = (identity.user_id, identity.username.to_ascii_lowercase());
        if name.is_empty() || self.written.get(&user).is_some_and(|written| written == name) {
            return;
        }
        match timeout(QUICK, self.store.name(user, &name)).await {
            Ok(Ok(())) => self.written.insert(user, name),
            Ok(Err(error)) => tracing::warn!(error = error.to_string(), "cannot remember a user's name"),
            Err(_) => tracing::warn!("a user's name is not remembered in time"),
        }
    }
}
