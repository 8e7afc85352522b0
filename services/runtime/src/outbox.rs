//! The outbox: events stored in the very document whose change they tell of, in its array `outbox`, and published from
//! there. A change is never without its event, nor an event without its change, whatever crashes in between.
//!
//! An event leaves the array only after the broker confirmed it, so each is published at least once, and of one document
//! in order. A document's events are published at once when its writer calls [`Waker::wake`]; those that nobody woke us
//! for (their writer crashed, or the broker was away) are found by a look at an index.
//!
//! Where events of several documents have one order, [`Lanes`] keep it.

use std::{collections::HashMap, time::Duration};

use contract::{event::Envelope, id::EventId};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc},
    options::IndexOptions,
};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::{
    backoff::Backoff,
    clock::Clock,
    connect::Collection,
    messaging::{PublishError, Publisher},
    shutdown::Shutdown,
    telemetry::chain,
};

mod lanes;

pub use lanes::{LANE, LANES, LaneWaker, Lanes, lane_of};

/// How often the index is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How old an event must be for the look to take it: younger ones are with whoever was woken for them, maybe in another
/// process, and would be published twice.
const LEFT_BEHIND: SignedDuration = SignedDuration::from_secs(4);
/// How many documents are dealt with at a time.
const BATCH: usize = 128;
const BATCH_LIMIT: i64 = 128;
/// So many wake-ups wait; more are dropped, and the index has their documents.
const WAKE_UPS: usize = 16 * 1024;
const NAME: &str = "outbox";

/// The name of the array in a document.
pub const FIELD: &str = NAME;

/// Publishes what stands in the outboxes of a collection's documents.
#[derive(Debug)]
#[must_use = "a relay does nothing until it is run"]
pub struct Relay {
    documents: Collection<Document>,
    publisher: Publisher,
    clock: Clock,
    wake_ups: mpsc::Receiver<Bson>,
    waker: Waker,
}

/// Tells a relay which document has just got events.
#[derive(Debug, Clone)]
pub struct Waker(mpsc::Sender<Bson>);

impl Waker {
    /// Wakes nobody: for who writes beside a service, whose relay finds the events by itself within seconds.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self(mpsc::channel(1).0)
    }

    /// Call it after the write was acknowledged, with the document's `_id`. Never waits; a wake-up that is lost costs
    /// seconds, not the event.
    pub fn wake(&self, id: impl Into<Bson>) {
        let _ = self.0.try_send(id.into());
    }
}

#[derive(Debug, Deserialize)]
struct Pending {
    #[serde(rename = "_id")]
    id: Bson,
    #[serde(default)]
    outbox: Vec<Envelope>,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the database failed")]
    Database(#[from] mongodb::error::Error),
    #[error("the broker failed")]
    Publish(#[from] PublishError),
}

impl Relay {
    /// A relay for a collection. Several processes may each run one for the same collection.
    pub fn new<T: Send + Sync>(documents: &Collection<T>, publisher: Publisher, clock: Clock) -> Self {
        let (waker, wake_ups) = mpsc::channel(WAKE_UPS);
        Self { documents: documents.with_type(), publisher, clock, wake_ups, waker: Waker(waker) }
    }

    /// What writers call.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Publishes until the soft phase of the stop; then once more what it was woken for by then.
    pub async fn run(mut self, shutdown: Shutdown) {
        let collection = self.documents.name().to_owned();
        let mut backoff = Backoff::new();
        let mut indexed = false;
        // After a failure everything that waits goes in its order; what was woken for meanwhile is among it, and must not overtake.
        let mut behind = false;
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut woken = Vec::new();
            let stopping = tokio::select! {
                biased;
                () = shutdown.soft().cancelled() => true,
                () = std::future::ready(()), if behind => false,
                _ = self.wake_ups.recv_many(&mut woken, BATCH) => false,
                _ = looks.tick() => false,
            };
            if stopping {
                // Whatever is left after this stands in the documents, and another process or the next start has it.
                while let Ok(id) = self.wake_ups.try_recv() {
                    woken.push(id);
                }
            }
            let outcome = async {
                if !indexed {
                    self.ensure_index().await?;
                    indexed = true;
                }
                if behind {
                    self.relay_older_than(self.clock.now()).await
                } else if woken.is_empty() {
                    self.relay_left_behind().await
                } else {
                    self.relay_woken(woken).await
                }
            };
            match outcome.await {
                Ok(()) => {
                    behind = false;
                    backoff.reset();
                }
                Err(error) => {
                    behind = true;
                    let wait = backoff.failed();
                    tracing::warn!(collection, error = chain(&error), "relaying again in {wait:?}");
                    let _ = shutdown.soft().run_until_cancelled(tokio::time::sleep(wait)).await;
                }
            }
            if stopping {
                return;
            }
        }
    }

    /// Only documents with events are in this index, so that a look at a quiet collection reads nothing.
    async fn ensure_index(&self) -> Result<(), RelayError> {
        let filter = doc! {"outbox.0": {"$exists": true}};
        let options =
            IndexOptions::builder().name("outbox_pending".to_owned()).partial_filter_expression(filter).build();
        let documents = self.documents.now();
        documents.create_index(IndexModel::builder().keys(doc! {"outbox.id": 1}).options(options).build()).await?;
        Ok(())
    }

    /// Publishes the events of the documents that writers woke us for, in the order of waking.
    async fn relay_woken(&self, woken: Vec<Bson>) -> Result<(), RelayError> {
        for ids in woken.chunks(BATCH) {
            let place: HashMap<String, usize> =
                ids.iter().enumerate().map(|(at, id)| (id.to_string(), at)).rev().collect();
            let filter = doc! {"_id": {"$in": ids}, "outbox.0": {"$exists": true}};
            let mut pending = self.pending(filter, None).await?;
            pending.sort_by_key(|document| place.get(&document.id.to_string()).copied());
            self.relay(pending).await?;
        }
        Ok(())
    }

    /// Publishes the events that nobody came for, oldest first.
    async fn relay_left_behind(&self) -> Result<(), RelayError> {
        self.relay_older_than(self.clock.now().checked_sub(LEFT_BEHIND).unwrap_or(Timestamp::UNIX_EPOCH)).await
    }

    async fn relay_older_than(&self, moment: Timestamp) -> Result<(), RelayError> {
        loop {
            let before = EventId::new(moment, &mut Zeros).to_string();
            let filter = doc! {"outbox.0": {"$exists": true}, "outbox.id": {"$lt": before}};
            let pending = self.pending(filter, Some(doc! {"outbox.id": 1})).await?;
            let count = pending.len();
            self.relay(pending).await?;
            if count < BATCH {
                return Ok(());
            }
        }
    }

    async fn pending(&self, filter: Document, sort: Option<Document>) -> Result<Vec<Pending>, RelayError> {
        let documents = self.documents.now();
        let mut found = documents.find(filter).projection(doc! {"outbox": 1}).limit(BATCH_LIMIT);
        if let Some(sort) = sort {
            found = found.sort(sort);
        }
        let mut documents = found.await?;
        let mut pending = Vec::new();
        while let Some(document) = documents.try_next().await? {
            let id = document.get("_id").cloned();
            match mongodb::bson::deserialize_from_document::<Pending>(document) {
                Ok(document) => pending.push(document),
                // One document that cannot be read must not hold up all the others.
                Err(error) => {
                    tracing::error!(collection = self.documents.name(), id = ?id, error = chain(&error), "an outbox cannot be read");
                }
            }
        }
        Ok(pending)
    }

    /// Publishes, then takes out what was confirmed, even if the rest was not.
    async fn relay(&self, pending: Vec<Pending>) -> Result<(), RelayError> {
        let envelopes: Vec<Envelope> = pending.iter().flat_map(|document| document.outbox.iter().cloned()).collect();
        let published = self.publisher.publish_all(&envelopes).await;
        let mut confirmed = match &published {
            Ok(()) => envelopes.len(),
            Err(failed) => failed.confirmed,
        };
        let mut done = Vec::new();
        for document in &pending {
            let count = document.outbox.len().min(confirmed);
            confirmed -= count;
            if count > 0 {
                done.push((document.id.clone(), &document.outbox[..count]));
            }
        }
        stream::iter(done).map(Ok).try_for_each_concurrent(16, |(id, events)| self.take_out(id, events)).await?;
        published.map_err(|failed| failed.source.into())
    }

    async fn take_out(&self, id: Bson, events: &[Envelope]) -> Result<(), RelayError> {
        let ids: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
        let update = doc! {"$pull": {"outbox": {"id": {"$in": ids}}}};
        self.documents.now().update_one(doc! {"_id": id}, update).await?;
        Ok(())
    }
}

/// The smallest id of a moment has no random bits.
struct Zeros;

impl rand::TryRng for Zeros {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(0);
        Ok(())
    }
}
