//! Feeding `OpenSearch` with what changes in `MongoDB`.
//!
//! One replica does it at a time, the one that has the lease. It asks `MongoDB` which conversations have changes that the index does not hold,
//! writes those changes, and then takes note of it. Whatever ends in between, the same changes are written again, and each message keeps its
//! newest form, as its number decides. Every so often all conversations are looked through, whenever they changed, and whenever the index is
//! another one than before: that is how it is filled at first, and again after it was lost.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use contract::id::ConversationId;
use jiff::{SignedDuration, Timestamp};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use runtime::backoff::Backoff;
use runtime::clock::Clock;
use runtime::connect::Database;
use runtime::lease::Lease;
use runtime::metrics::Metrics;
use runtime::migrations;
use runtime::shutdown::Shutdown;
use runtime::telemetry::chain;
use tokio::time::{Instant, sleep};

use super::opensearch::{Entry, OpenSearch, OpenSearchError};
use crate::store::{Behind, Cursor, Fed, IndexState, Look, Store, StoreError, Which};

/// How often it is asked what has changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// By how much two looks overlap: clocks differ, and a transaction may commit some time after it took the time.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);
/// How often all conversations are looked through.
const PASS_EVERY: Duration = Duration::from_mins(10);
/// After so long without success likewise, batch by batch, rather than all that has changed since at once.
const LONG_AWAY: Duration = Duration::from_mins(1);
/// How often it is asked whether the index is still the same one.
const RECOGNISE_EVERY: Duration = Duration::from_secs(5);
/// Conversations of one batch of a pass.
const BATCH: usize = 500;
/// Changes of one conversation that are read at a time.
const PAGE: usize = 250;
/// So many changes are written at a time, or a page more.
const BULK: usize = 1_000;
/// Numbers that are remembered to save a look; more are forgotten.
const MOST_REMEMBERED: usize = 100_000;

/// The collection of the lease, and its name.
const LEASES: &str = "search_leases";
const LEASE: &str = "feeding";

/// Feeds one index.
pub struct Feeding {
    store: Store,
    opensearch: OpenSearch,
    lease: Lease,
    clock: Clock,
    counts: Counts,
    /// What is known of the index; none until it has been recognised.
    index: Option<Recognised>,
    /// Since when the index may lack something.
    lacks_since: Instant,
}

struct Recognised {
    id: String,
    complete: bool,
    at: Instant,
    /// When all conversations were last looked through.
    passed: Option<Instant>,
    /// What changed before has been written.
    up_to: Timestamp,
    /// Up to which number conversations have been written that changed lately.
    remembered: HashMap<ConversationId, u64>,
}

#[derive(Default)]
struct Counts {
    behind: Gauge,
    lag: Gauge,
    written: Counter,
    refused: Counter,
    failures: Counter,
}

#[derive(Debug, thiserror::Error)]
enum FeedingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("OpenSearch")]
    OpenSearch(#[from] OpenSearchError),
    #[error("another replica has taken over")]
    LeaseLost,
}

impl From<mongodb::error::Error> for FeedingError {
    fn from(error: mongodb::error::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Feeding {
    /// Feeds `opensearch` with what is in `store`, as replica `holder`.
    #[must_use]
    pub fn new(
        (store, database): (Store, &Database),
        opensearch: OpenSearch,
        holder: String,
        clock: Clock,
        metrics: &Metrics,
    ) -> Self {
        let counts = Counts::default();
        counts.register(metrics);
        let lease = Lease::new(database, LEASES, LEASE.to_owned(), holder);
        Self { store, opensearch, lease, clock, counts, index: None, lacks_since: Instant::now() }
    }

    /// Works from the end of the migrations to the stop.
    pub async fn run(mut self, migrated: migrations::Progress, shutdown: Shutdown) {
        if shutdown.soft().run_until_cancelled(migrated.reached()).await.is_none() {
            return;
        }
        let mut backoff = Backoff::new();
        // Cut off anywhere: what was written without a note of it is written again.
        while let Some(outcome) = shutdown.soft().run_until_cancelled(self.round()).await {
            let pause = match outcome {
                Ok(()) => {
                    backoff.reset();
                    LOOK_EVERY
                }
                Err(error) => {
                    let pause = backoff.failed();
                    self.counts.failures.inc();
                    tracing::warn!(error = chain(&error), "OpenSearch is fed again in {pause:?}");
                    if matches!(error, FeedingError::OpenSearch(OpenSearchError::NoIndex) | FeedingError::LeaseLost) {
                        self.index = None;
                    }
                    pause
                }
            };
            self.counts.lag.set(i64::try_from(self.lacks_since.elapsed().as_secs()).unwrap_or(i64::MAX));
            if shutdown.soft().run_until_cancelled(sleep(pause)).await.is_none() {
                break;
            }
        }
        self.lease.release().await;
    }

    /// Writes everything that the index lacks, as long as that is this replica's work.
    async fn round(&mut self) -> Result<(), FeedingError> {
        if self.lease.hold().await?.is_none() {
            self.index = None;
            self.counts.behind.set(0);
            self.lacks_since = Instant::now();
            return Ok(());
        }
        let began = Instant::now();
        if self.index.as_ref().is_none_or(|index| index.at.elapsed() > RECOGNISE_EVERY) {
            let (id, complete) = self.recognise().await?;
            match &mut self.index {
                Some(index) if index.id == id && index.complete == complete => index.at = Instant::now(),
                index => *index = Some(Recognised::new(id, complete)),
            }
        }
        let Some(mut index) = self.index.take() else { return Ok(()) };
        let outcome = self.catch_up(&mut index).await;
        self.index = Some(index);
        outcome?;
        self.lacks_since = began;
        Ok(())
    }

    /// Finds out which index it is, and whether it has ever held everything; makes one where there is none.
    async fn recognise(&self) -> Result<(String, bool), FeedingError> {
        let place = self.opensearch.place();
        let known = self.store.index_state(place).await?;
        let id = if let Some(id) = self.opensearch.id().await? {
            id
        } else {
            // Before it is there, or for a moment an empty one would be searched.
            if let Some(known) = known.clone().filter(|known| known.complete) {
                tracing::warn!(index = known.index, "the index in OpenSearch is gone; making and filling another");
                self.store.set_index_state(&IndexState { complete: false, ..known }).await?;
            }
            self.opensearch.create().await?;
            self.opensearch.id().await?.ok_or(OpenSearchError::NoIndex)?
        };
        let complete = known.is_some_and(|known| known.index == id && known.complete);
        if !complete {
            self.note(&id, false).await?;
        }
        Ok((id, complete))
    }

    async fn note(&self, id: &str, complete: bool) -> Result<(), StoreError> {
        let (place, index) = (self.opensearch.place().to_owned(), id.to_owned());
        self.store.set_index_state(&IndexState { place, index, complete }).await
    }

    async fn catch_up(&mut self, index: &mut Recognised) -> Result<(), FeedingError> {
        let now = self.clock.now();
        let is_late = self.lacks_since.elapsed() > LONG_AWAY;
        if is_late || index.passed.is_none_or(|passed| passed.elapsed() > PASS_EVERY) {
            self.pass(index).await?;
            index.passed = Some(Instant::now());
        } else {
            let mut look = self.store.look().await?;
            let since = index.up_to.checked_sub(OVERLAP).unwrap_or(Timestamp::UNIX_EPOCH);
            let (mut behind, _) = self.store.behind(&mut look, &index.id, Which::ChangedSince(since)).await?;
            behind.retain(|one| index.remembered.get(&one.id).is_none_or(|seq| *seq < one.seq));
            self.counts.behind.set(changes(&behind));
            self.feed(index, &mut look, behind).await?;
        }
        self.counts.behind.set(0);
        index.up_to = now;
        Ok(())
    }

    /// Looks through all conversations. Then the index holds everything that there was when this began.
    async fn pass(&mut self, index: &mut Recognised) -> Result<(), FeedingError> {
        let mut look = self.store.look().await?;
        let (mut after, mut all) = (None, 0_i64);
        loop {
            let (behind, last) = self.store.behind(&mut look, &index.id, Which::Above(after, BATCH)).await?;
            all = all.saturating_add(changes(&behind));
            self.counts.behind.set(all);
            self.still_ours().await?;
            after = last;
            if after.is_none() {
                break;
            }
        }
        if all > 0 {
            tracing::info!(index = index.id, changes = all, "OpenSearch lacks changes");
        }
        loop {
            let (behind, last) = self.store.behind(&mut look, &index.id, Which::Above(after, BATCH)).await?;
            let fed = !behind.is_empty();
            self.feed(index, &mut look, behind).await?;
            if fed {
                let left = self.counts.behind.get();
                tracing::info!(index = index.id, left, of = all, "fed OpenSearch");
            }
            after = last;
            if after.is_none() {
                break;
            }
        }
        if !index.complete {
            // Else what was written last would not be found yet.
            self.opensearch.refresh().await?;
            self.note(&index.id, true).await?;
            index.complete = true;
            tracing::info!(index = index.id, "OpenSearch holds everything and is searched from now on");
        }
        self.store.drop_token_index().await?;
        Ok(())
    }

    /// Writes what is lacking of conversations, and takes note of it, batch by batch.
    async fn feed(&mut self, index: &mut Recognised, look: &mut Look, behind: Vec<Behind>) -> Result<(), FeedingError> {
        let mut queue = VecDeque::from(behind);
        while !queue.is_empty() {
            self.still_ours().await?;
            let (mut entries, mut cursors) = (Vec::new(), Vec::new());
            while entries.len() < BULK
                && let Some(next) = queue.pop_front()
            {
                let page = self.store.to_feed(look, next.id, next.after, PAGE).await?;
                let last = page.last().map_or(0, |message| message.change_seq);
                let is_over = page.len() < PAGE;
                entries.extend(page.into_iter().map(|message| entry(message, next.is_deleted)));
                // Numbers beyond the last message's are changes of the conversation itself.
                let seq = if is_over { last.max(next.seq) } else { last };
                if is_over || !next.is_deleted {
                    cursors.push((next, seq));
                }
                if !is_over {
                    queue.push_front(Behind { after: last, ..next });
                    break;
                }
            }
            self.write(index, &entries, cursors).await?;
        }
        Ok(())
    }

    async fn write(
        &self,
        index: &mut Recognised,
        entries: &[Entry],
        reached: Vec<(Behind, u64)>,
    ) -> Result<(), FeedingError> {
        let refused = self.opensearch.write(entries).await?;
        let written = u64::try_from(entries.len()).unwrap_or(u64::MAX).saturating_sub(refused);
        self.counts.refused.inc_by(refused);
        self.counts.written.inc_by(written);
        let cursor =
            |(behind, seq): &(Behind, u64)| Cursor { conversation: behind.id, index: index.id.clone(), seq: *seq };
        self.store.fed(&reached.iter().map(cursor).collect::<Vec<_>>()).await?;
        if index.remembered.len() > MOST_REMEMBERED {
            index.remembered.clear();
        }
        for (behind, seq) in reached {
            index.remembered.insert(behind.id, seq);
            self.counts.behind.dec_by(signed(seq.min(behind.seq).saturating_sub(behind.after)));
        }
        Ok(())
    }

    async fn still_ours(&mut self) -> Result<(), FeedingError> {
        self.lease.hold().await?.map(drop).ok_or(FeedingError::LeaseLost)
    }
}

impl Recognised {
    fn new(id: String, complete: bool) -> Self {
        tracing::info!(index = id, complete, "feeding OpenSearch");
        let (passed, up_to, remembered) = (None, Timestamp::UNIX_EPOCH, HashMap::new());
        Self { id, complete, at: Instant::now(), passed, up_to, remembered }
    }
}

impl Counts {
    fn register(&self, metrics: &Metrics) {
        let Self { behind, lag, written, refused, failures } = self;
        metrics.register("chat_search_changes_behind", "Changes that the index does not hold yet", behind.clone());
        let help = "Seconds since which the index may lack a change, as last looked";
        metrics.register("chat_search_lag_seconds", help, lag.clone());
        metrics.register("chat_search_documents_written", "Documents written to the index", written.clone());
        metrics.register("chat_search_documents_refused", "Documents that it will never take", refused.clone());
        metrics.register("chat_search_feeding_failures", "Attempts to feed the index that failed", failures.clone());
    }
}

fn entry(message: Fed, is_deleted: bool) -> Entry {
    let Fed { id, conversation_id: conversation, change_seq: version, tokens } = message;
    if is_deleted || tokens.is_empty() {
        Entry::Delete { id, version }
    } else {
        Entry::Put { id, version, conversation, tokens }
    }
}

fn changes(behind: &[Behind]) -> i64 {
    behind.iter().map(|behind| signed(behind.seq.saturating_sub(behind.after))).fold(0, i64::saturating_add)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
