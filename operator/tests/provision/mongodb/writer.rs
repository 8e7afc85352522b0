//! Somebody who writes without a break, and remembers what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use mongodb::Collection;
use mongodb::bson::{Document, doc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::cluster::Cluster;

/// A writer at work. Each document is written once and counts when a majority has it.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicI64>,
    work: JoinHandle<Record>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) acknowledged: Vec<i64>,
    pub(super) failed: usize,
    /// The longest time between two acknowledgements.
    pub(super) pause: Duration,
}

impl Writer {
    pub(super) fn start(cluster: &Cluster) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
        let work = tokio::spawn(write(cluster.things("chat"), Arc::clone(&stop), Arc::clone(&count)));
        Self { stop, count, work }
    }

    /// Waits until so many more are acknowledged.
    pub(super) async fn goes_on(&self, more: i64) {
        let wanted = self.count.load(Ordering::Acquire) + more;
        let deadline = Instant::now() + Duration::from_mins(2);
        while self.count.load(Ordering::Acquire) < wanted {
            assert!(Instant::now() < deadline, "writes are not acknowledged any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops it, and checks that all that was acknowledged is there.
    pub(super) async fn check(self, cluster: &Cluster) -> Record {
        self.stop.store(true, Ordering::Release);
        let ending = tokio::time::timeout(Duration::from_mins(2), self.work);
        let record = ending.await.expect("a write is neither acknowledged nor refused").unwrap();
        let found = cluster.written("chat").await;
        let lost: Vec<_> = record.acknowledged.iter().filter(|id| found.binary_search(id).is_err()).collect();
        assert!(lost.is_empty(), "{} of {} acknowledged writes are lost", lost.len(), record.acknowledged.len());
        eprintln!(
            "{} writes acknowledged, none lost; {} failed; longest pause {:.1} s",
            record.acknowledged.len(),
            record.failed,
            record.pause.as_secs_f32()
        );
        record
    }
}

async fn write(things: Collection<Document>, stop: Arc<AtomicBool>, count: Arc<AtomicI64>) -> Record {
    let mut record = Record::default();
    let mut last = Instant::now();
    for id in 0.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        match things.insert_one(doc! {"_id": id}).await {
            Ok(_) => {
                record.acknowledged.push(id);
                count.fetch_add(1, Ordering::AcqRel);
                record.pause = record.pause.max(last.elapsed());
                last = Instant::now();
            }
            // Whether it was written nobody knows: it does not count.
            Err(_) => record.failed += 1,
        }
    }
    record
}
