//! After a rotation of the key-encryption keys: every data key is wrapped by the current one, in the background.
//!
//! Conversations in which somebody writes are wrapped anew as they are used; this is for the others. Each replica does it; the second finds
//! nothing left to do, and a data key that somebody else has just wrapped anew is left alone. Once every replica goes by the current key, and
//! then counts no data key that is wrapped by another, nothing needs the old key-encryption key any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contract::keys::{KeyUse, StoredUnder};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use runtime::metrics::Metrics;
use runtime::shutdown::Shutdown;
use tokio::time::sleep;

use crate::crypto::Keys;
use crate::store::{Store, StoreError};

/// Looked for without a change of the ring too: a replica that had the old ring may have wrapped one more.
const LOOK_EVERY: Duration = Duration::from_mins(10);
/// The same while there is an old key, which somebody waits to take away.
const LOOK_AT_OLD_EVERY: Duration = Duration::from_secs(10);
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(10);
const BATCH: i64 = 200;

/// Wraps data keys anew.
pub struct Rewrapping {
    store: Store,
    keys: Keys,
    counted: Counted,
    left: Gauge,
    done: Counter,
    failed: Counter,
}

/// The last count. Clones share it.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<Mutex<Option<Count>>>);

/// How many data keys were wrapped by other keys than the one that was current.
#[derive(Clone, Debug)]
struct Count {
    current: String,
    began: Instant,
    by_id: BTreeMap<String, u64>,
}

impl Rewrapping {
    /// The data keys in the store, counted in `metrics`.
    #[must_use]
    pub fn new(store: Store, keys: Keys, metrics: &Metrics) -> Self {
        let (left, done, failed) = (Gauge::default(), Counter::default(), Counter::default());
        metrics.register(
            "chat_data_keys_to_rewrap",
            "Data keys that are wrapped by another key-encryption key than the current one",
            left.clone(),
        );
        metrics.register("chat_data_keys_rewrapped", "Data keys wrapped anew after a rotation", done.clone());
        metrics.register(
            "chat_data_keys_lost",
            "Data keys that could not be unwrapped to wrap them anew",
            failed.clone(),
        );
        Self { store, keys, counted: Counted::default(), left, done, failed }
    }

    /// What is to be told of the ring: who wraps, who is there, and what is still wrapped by whom.
    pub fn key_use(&self) -> impl Fn() -> KeyUse + Send + Sync + use<> {
        let (keys, counted) = (self.keys.clone(), self.counted.clone());
        move || {
            let ring = keys.in_use();
            KeyUse { stored: counted.beside(ring.current.as_deref()), ..ring }
        }
    }

    /// Works until the soft phase of the stop. A round begins with each change of the ring, and now and then.
    pub async fn run(self, shutdown: Shutdown) {
        let mut changes = self.keys.changes();
        let work = async {
            loop {
                changes.mark_unchanged();
                let pause = match self.round().await {
                    Ok(()) if self.keys.in_use().accepted.len() > 1 => LOOK_AT_OLD_EVERY,
                    Ok(()) => LOOK_EVERY,
                    Err(error) => {
                        tracing::warn!(error = error.to_string(), "cannot wrap data keys anew; trying again");
                        RETRY
                    }
                };
                tokio::select! {
                    // The sender lives in the ring, which lives in `self`.
                    _ = changes.changed() => {}
                    () = sleep(pause) => {}
                }
            }
        };
        let _: Option<std::convert::Infallible> = shutdown.soft().run_until_cancelled(work).await;
    }

    async fn round(&self) -> Result<(), StoreError> {
        let current = self.keys.current_id();
        let all = self.count(&current).await?;
        if all == 0 {
            return Ok(());
        }
        tracing::info!(key = current, data_keys = all, "wrapping data keys by the current key");
        let (mut after, mut done, mut failed) = (None, 0_u64, 0_u64);
        loop {
            let batch = self.store.not_wrapped_by(&current, after, BATCH).await?;
            let Some(last) = batch.last() else { break };
            after = Some(last.id);
            for wrapped in batch {
                match self.keys.rewrap(wrapped.id, &wrapped.data_key) {
                    Ok(Some(anew)) => {
                        self.store.rewrap(wrapped.id, &wrapped.data_key, &anew).await?;
                        self.done.inc();
                        done += 1;
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.failed.inc();
                        failed += 1;
                        tracing::error!(conversation = %wrapped.id, error = error.to_string(), "a data key cannot be unwrapped");
                    }
                }
            }
            self.left.set(signed(all.saturating_sub(done)));
            tracing::info!(key = current, done, failed, of = all, "wrapped data keys by the current key");
        }
        self.count(&current).await?;
        Ok(())
    }

    async fn count(&self, current: &str) -> Result<u64, StoreError> {
        let began = Instant::now();
        let by_id = self.store.count_not_wrapped_by(current).await?;
        let all = by_id.values().sum();
        self.left.set(signed(all));
        let count = Count { current: current.to_owned(), began, by_id };
        *self.counted.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(count);
        Ok(all)
    }
}

impl Counted {
    /// The count, if it was made beside this current key: another one's tells nothing.
    fn beside(&self, current: Option<&str>) -> Option<StoredUnder> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counted.as_ref().filter(|count| Some(count.current.as_str()) == current)?;
        // Rounded up: never younger than it is.
        Some(StoredUnder { counts: count.by_id.clone(), seconds_ago: count.began.elapsed().as_secs() + 1 })
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
