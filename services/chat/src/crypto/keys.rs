//! Data keys in use: unwrapped when first needed, kept in memory for a while.

use std::time::Duration;

use contract::id::ConversationId;
use contract::keys::KeyUse;
use moka::sync::Cache;
use runtime::watched::Watched;
use tokio::sync::watch;

use super::{DataKey, KeyRing, UnwrapError, WrappedKey};

const MOST_KEPT: u64 = 20_000;
const KEPT_IDLE: Duration = Duration::from_mins(10);

/// Hands out the data keys of conversations. Clones share the cache.
#[derive(Clone, Debug)]
pub struct Keys {
    ring: Watched<KeyRing>,
    unwrapped: Cache<ConversationId, DataKey>,
}

impl Keys {
    /// With a key ring that is read again when its file changes.
    #[must_use]
    pub fn new(ring: Watched<KeyRing>) -> Self {
        Self { ring, unwrapped: Cache::builder().max_capacity(MOST_KEPT).time_to_idle(KEPT_IDLE).build() }
    }

    /// A new data key for a new conversation, wrapped.
    pub fn create(&self, conversation: ConversationId) -> Result<WrappedKey, UnwrapError> {
        let mut rng = rand::rng();
        DataKey::generate(&mut rng).wrap(&self.ring.get(), conversation, &mut rng)
    }

    /// The data key of a conversation.
    pub fn unwrap(&self, conversation: ConversationId, wrapped: &WrappedKey) -> Result<DataKey, UnwrapError> {
        if let Some(key) = self.unwrapped.get(&conversation) {
            return Ok(key);
        }
        let key = wrapped.unwrap(&self.ring.get(), conversation)?;
        self.unwrapped.insert(conversation, key.clone());
        Ok(key)
    }

    /// The key wrapped anew, if it is wrapped by another than the current key-encryption key.
    pub fn rewrap(
        &self,
        conversation: ConversationId,
        wrapped: &WrappedKey,
    ) -> Result<Option<WrappedKey>, UnwrapError> {
        let ring = self.ring.get();
        if wrapped.key_id == ring.current_id() {
            return Ok(None);
        }
        self.unwrap(conversation, wrapped)?.wrap(&ring, conversation, &mut rand::rng()).map(Some)
    }

    /// Id of the key-encryption key that wraps new data keys.
    #[must_use]
    pub fn current_id(&self) -> String {
        self.ring.get().current_id().to_owned()
    }

    /// The key-encryption keys, by id: which one wraps, and which are there.
    #[must_use]
    pub fn in_use(&self) -> KeyUse {
        let ring = self.ring.get();
        KeyUse {
            current: Some(ring.current_id().to_owned()),
            accepted: ring.ids().map(str::to_owned).collect(),
            stored: None,
        }
    }

    /// A receiver that changes each time the ring does.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.ring.changes()
    }

    /// Forgets the key of a conversation that is no more.
    pub fn forget(&self, conversation: ConversationId) {
        self.unwrapped.invalidate(&conversation);
    }
}
