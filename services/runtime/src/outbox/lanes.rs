//! Outboxes whose events are in order across documents.
//!
//! What happens to one thing (a conversation) is told by events that stand in several documents (its messages). They belong together by a key
//! and are ordered by the number `seq` in their data. Keys are spread over lanes; each lane is relayed by the process that has its lease, so
//! that two never publish events of one key at the same time, and in the order of the numbers, whichever process wrote them, whatever its clock
//! said. An event leaves its document after the broker has confirmed it: at least once, and where one comes again, those behind it come again too.
//!
//! An event that cannot be read or encoded is laid aside in the collection `outbox_dead`, and those behind it go on. A broker that rejects
//! events, because a queue is full, is waited for.

use std::{sync::Arc, time::Duration};

use contract::{event::Envelope, id::EventId};
use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc},
    options::IndexOptions,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

use super::RelayError;
use crate::{
    backoff::Backoff,
    clock::Clock,
    connect::Collection,
    lease::Lease,
    messaging::{PublishError, Publisher},
    shutdown::Shutdown,
    telemetry::chain,
};

/// How many lanes there are. It is written into documents and leases, and does not change.
pub const LANES: u32 = 8;
/// The field in which a document has its lane.
pub const LANE: &str = "outboxLane";

/// The collection of the leases.
const LEASES: &str = "outbox_leases";

/// How often the holder of a lane looks for what other processes have written, and others for a lane that is free.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many keys are dealt with at a time.
const KEYS: i64 = 64;
/// How many documents of one key.
const DOCUMENTS: i64 = 256;

/// The lane of a key: FNV-1a, which is the same everywhere and for ever.
#[must_use]
pub fn lane_of(key: &str) -> i32 {
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i32::try_from(hash % LANES).unwrap_or(0)
}

/// Relays for all lanes of a collection.
#[derive(Debug)]
#[must_use = "lanes do nothing until they are run"]
pub struct Lanes {
    documents: Collection<Document>,
    /// The field that holds the key.
    key: &'static str,
    publisher: Publisher,
    clock: Clock,
    waker: LaneWaker,
}

/// Tells the lane of a key that there is something. Clones lead to the same lanes.
#[derive(Debug, Clone)]
pub struct LaneWaker(Arc<[Notify]>);

impl LaneWaker {
    /// Call it after the write was acknowledged. Never waits; without it the event is found half a second later.
    pub fn wake(&self, key: &str) {
        if let Some(lane) = usize::try_from(lane_of(key)).ok().and_then(|lane| self.0.get(lane)) {
            lane.notify_one();
        }
    }
}

impl Lanes {
    /// For a collection whose documents have a key in the field `key`, their lane in [`LANE`], and events with a number in their outbox.
    pub fn new<T: Send + Sync>(
        documents: &Collection<T>,
        key: &'static str,
        publisher: Publisher,
        clock: Clock,
    ) -> Self {
        let waker = LaneWaker((0..LANES).map(|_| Notify::new()).collect());
        Self { documents: documents.with_type(), key, publisher, clock, waker }
    }

    /// What writers call.
    #[must_use]
    pub fn waker(&self) -> LaneWaker {
        self.waker.clone()
    }

    /// Publishes until the soft phase of the stop; then once more what there is, and lets the lanes go.
    pub async fn run(self, shutdown: Shutdown) {
        let database = self.documents.database();
        let holder = EventId::generate().to_string();
        let this = &self;
        join_all((0_i32..).zip(self.waker.0.iter()).map(|(number, notified)| {
            let name = format!("{}/{number}", this.documents.name());
            let lease = Lease::new(database, LEASES, name, holder.clone());
            let lane = Lane { lanes: this, number, dead: database.collection("outbox_dead"), lease };
            lane.run(notified, &shutdown)
        }))
        .await;
    }

    /// Only documents with events are in these indexes.
    async fn ensure_indexes(&self) -> Result<(), RelayError> {
        let index = |name: &str, keys: Document| {
            let pending = doc! {"outbox.0": {"$exists": true}};
            let options = IndexOptions::builder().name(name.to_owned()).partial_filter_expression(pending).build();
            IndexModel::builder().keys(keys).options(options).build()
        };
        self.documents
            .now()
            .create_indexes([
                index("outbox_lane", doc! {LANE: 1, "outbox.id": 1}),
                index("outbox_order", doc! {self.key: 1, "outbox.event.data.seq": 1}),
            ])
            .await?;
        Ok(())
    }
}

struct Lane<'a> {
    lanes: &'a Lanes,
    number: i32,
    dead: Collection<Document>,
    lease: Lease,
}

/// An event on its way, and where it stands.
struct Pending {
    document: Bson,
    seq: u64,
    envelope: Envelope,
}

impl Lane<'_> {
    async fn run(mut self, notified: &Notify, shutdown: &Shutdown) {
        let mut backoff = Backoff::new();
        let mut indexed = false;
        loop {
            let stopping = shutdown.soft().is_cancelled();
            let outcome = async {
                if !indexed {
                    self.lanes.ensure_indexes().await?;
                    indexed = true;
                }
                self.relay().await
            };
            let pause = match outcome.await {
                Ok(()) => {
                    backoff.reset();
                    LOOK_EVERY
                }
                Err(error) => {
                    let pause = backoff.failed();
                    let collection = self.lanes.documents.name();
                    tracing::warn!(
                        collection,
                        lane = self.number,
                        error = chain(&error),
                        "relaying again in {pause:?}"
                    );
                    pause
                }
            };
            if stopping {
                return self.lease.release().await;
            }
            let _ = shutdown.soft().run_until_cancelled(timeout(pause, notified.notified())).await;
        }
    }

    /// Publishes everything that waits, as long as the lane is ours.
    async fn relay(&mut self) -> Result<(), RelayError> {
        while let Some(until) = self.lease.hold().await? {
            let keys = self.keys().await?;
            if keys.is_empty() {
                break;
            }
            let mut pending = Vec::new();
            for key in keys {
                pending.extend(self.pending(&key).await?);
            }
            self.publish(pending, until).await?;
        }
        Ok(())
    }

    /// Keys with events, those that have waited longest first.
    async fn keys(&self) -> Result<Vec<Bson>, RelayError> {
        let filter = doc! {LANE: self.number, "outbox.0": {"$exists": true}};
        let documents = self.lanes.documents.now();
        let found = documents.find(filter).projection(doc! {self.lanes.key: 1, "_id": 0});
        let found: Vec<Document> = found.sort(doc! {"outbox.id": 1}).limit(KEYS).await?.try_collect().await?;
        let mut keys: Vec<Bson> = Vec::new();
        for key in found.into_iter().filter_map(|mut document| document.remove(self.lanes.key)) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// The next events of a key, in their order.
    async fn pending(&self, key: &Bson) -> Result<Vec<Pending>, RelayError> {
        let filter = doc! {self.lanes.key: key, "outbox.0": {"$exists": true}};
        let documents = self.lanes.documents.now();
        let found = documents.find(filter).projection(doc! {"outbox": 1});
        // By the least of a document's numbers.
        let found = found.sort(doc! {"outbox.event.data.seq": 1}).limit(DOCUMENTS);
        let found: Vec<Document> = found.await?.try_collect().await?;
        let full = i64::try_from(found.len()).is_ok_and(|count| count == DOCUMENTS);
        let (mut pending, mut least) = (Vec::new(), 0);
        for mut document in found {
            let Some(id) = document.remove("_id") else { continue };
            let events = document.get_array("outbox").cloned().unwrap_or_default();
            let mut first = None;
            for event in events {
                match read(&event) {
                    Ok((seq, envelope)) => {
                        first = Some(first.map_or(seq, |first: u64| first.min(seq)));
                        pending.push(Pending { document: id.clone(), seq, envelope });
                    }
                    Err(reason) => self.lay_aside(&id, event, &reason).await?,
                }
            }
            least = first.unwrap_or(least);
        }
        if full {
            // Documents that did not come may have events before these.
            pending.retain(|event| event.seq <= least);
        }
        pending.sort_by_key(|event| event.seq);
        Ok(pending)
    }

    /// Publishes in this order, then takes out what was confirmed, even if the rest was not.
    async fn publish(&self, pending: Vec<Pending>, until: Instant) -> Result<(), RelayError> {
        let envelopes: Vec<Envelope> = pending.iter().map(|event| event.envelope.clone()).collect();
        // What is not confirmed by the end of the lease is the next holder's, who publishes it again.
        let published = timeout_at(until, self.lanes.publisher.publish_all(&envelopes)).await;
        let (confirmed, failure) = match published {
            Ok(Ok(())) => (envelopes.len(), None),
            Ok(Err(failed)) => (failed.confirmed, Some(failed.source)),
            Err(_) => (0, Some(PublishError::Timeout)),
        };
        let done = pending[..confirmed].iter();
        stream::iter(done).map(Ok).try_for_each_concurrent(16, |event| self.take_out(event)).await?;
        match failure {
            None => Ok(()),
            Some(PublishError::Encode(error)) => match pending.get(confirmed) {
                Some(event) => {
                    let raw = mongodb::bson::serialize_to_bson(&event.envelope).unwrap_or(Bson::Null);
                    self.lay_aside(&event.document, raw, &error.to_string()).await
                }
                None => Ok(()),
            },
            Some(error) => Err(error.into()),
        }
    }

    async fn take_out(&self, event: &Pending) -> Result<(), RelayError> {
        let update = doc! {"$pull": {"outbox": {"id": event.envelope.id.to_string()}}};
        self.lanes.documents.now().update_one(doc! {"_id": &event.document}, update).await?;
        Ok(())
    }

    /// Keeps an event that cannot be published apart from those that can.
    async fn lay_aside(&self, document: &Bson, event: Bson, reason: &str) -> Result<(), RelayError> {
        let collection = self.lanes.documents.name();
        tracing::error!(collection, document = %document, reason, "an event became a dead letter");
        let now = mongodb::bson::DateTime::from_millis(self.lanes.clock.now().as_millisecond());
        self.dead
            .now()
            .insert_one(doc! {
                "collection": collection,
                "document": document,
                "event": &event,
                "reason": reason,
                "at": now,
            })
            .await?;
        self.lanes.documents.now().update_one(doc! {"_id": document}, doc! {"$pull": {"outbox": event}}).await?;
        Ok(())
    }
}

/// An event and its number.
fn read(event: &Bson) -> Result<(u64, Envelope), String> {
    let envelope: Envelope = mongodb::bson::deserialize_from_bson(event.clone()).map_err(|error| error.to_string())?;
    let data = envelope.event.data().map_err(|error| error.to_string())?;
    let seq = data.get("seq").and_then(serde_json::Value::as_u64).ok_or("its data have no number `seq`")?;
    Ok((seq, envelope))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_always_in_the_same_lane_and_keys_are_spread() {
        // As it was when the first documents were written.
        assert_eq!(lane_of(""), i32::try_from(0x811c_9dc5_u32 % LANES).unwrap_or(-1));
        let mut taken = [0; LANES as usize];
        for _ in 0..800 {
            let lane = lane_of(&contract::id::ConversationId::generate().to_string());
            taken[usize::try_from(lane).unwrap_or(usize::MAX)] += 1;
        }
        assert!(taken.iter().all(|count| (50..150).contains(count)), "{taken:?}");
    }
}
