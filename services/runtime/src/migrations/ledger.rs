//! What the database remembers of migrations: those that it has been through, and who is at work. Times are the server's, so that
//! programs whose clocks differ agree.

use std::{collections::HashSet, time::Duration};

use contract::id::EventId;
use futures::TryStreamExt as _;
use mongodb::{
    bson::{DateTime, Document, doc},
    error::Error,
};
use tokio::time::{Instant, sleep, timeout};

use super::Migration;
use crate::connect::{Collection, Database};

/// How long a lease lasts that is not renewed: what a program that was killed keeps the next one waiting.
const LEASE: Duration = Duration::from_secs(30);
const LEASE_MILLIS: i64 = 30_000;
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(10);

/// The records of a database.
#[derive(Debug)]
pub(super) struct Ledger {
    records: Collection<Document>,
    leases: Collection<Document>,
    /// This run and no other.
    holder: String,
}

impl Ledger {
    pub(super) fn of(database: &Database) -> Self {
        Self {
            records: database.collection("migrations"),
            leases: database.collection("migrationLease"),
            holder: EventId::generate().to_string(),
        }
    }

    /// Those that the database has not been through. It may have been through others: of a release that has been left again.
    pub(super) async fn missing<'a>(&self, steps: &'a [Migration]) -> Result<Vec<&'a Migration>, Error> {
        let taken: Vec<Document> = self.records.now().find(doc! {}).await?.try_collect().await?;
        let taken: HashSet<&str> = taken.iter().filter_map(|record| record.get_str("_id").ok()).collect();
        Ok(steps.iter().filter(|step| !taken.contains(step.name)).collect())
    }

    /// Writes down that a migration has been taken.
    pub(super) async fn record(&self, name: &str) -> Result<(), Error> {
        let update = doc! {"$set": {"release": env!("CARGO_PKG_VERSION")}, "$currentDate": {"takenAt": true}};
        self.records.now().update_one(doc! {"_id": name}, update).upsert(true).await.map(drop)
    }

    /// Takes the lease, unless another run holds it.
    pub(super) async fn take_lease(&self) -> Result<bool, Error> {
        // An upsert cannot compare times of the server, so the document is made first.
        let new = doc! {"$setOnInsert": {"expiresAt": DateTime::from_millis(0)}};
        self.leases.now().update_one(lease(), new).upsert(true).await?;
        let mut free = lease();
        free.insert("$expr", doc! {"$lt": ["$expiresAt", "$$NOW"]});
        self.extend(free).await
    }

    /// Renews the lease again and again; ends once another run may hold it.
    pub(super) async fn keep_lease(&self) {
        let mut held_since = Instant::now();
        loop {
            sleep(RENEW).await;
            let asked = Instant::now();
            match timeout(RENEW, self.extend(self.own())).await {
                Ok(Ok(true)) => held_since = asked,
                // An election, perhaps.
                Ok(Err(_)) | Err(_) if held_since.elapsed() + RENEW < LEASE => {}
                Ok(Ok(false) | Err(_)) | Err(_) => return,
            }
        }
    }

    pub(super) async fn give_lease_back(&self) -> Result<(), Error> {
        let over = doc! {"$set": {"expiresAt": DateTime::from_millis(0)}};
        self.leases.now().update_one(self.own(), over).await.map(drop)
    }

    fn own(&self) -> Document {
        let mut own = lease();
        own.insert("holder", &self.holder);
        own
    }

    /// Lets the lease last from now on, if it is as `filter` says.
    async fn extend(&self, filter: Document) -> Result<bool, Error> {
        let update = doc! {"$set": {"holder": &self.holder, "expiresAt": {"$add": ["$$NOW", LEASE_MILLIS]}}};
        Ok(self.leases.now().update_one(filter, vec![update]).await?.matched_count == 1)
    }
}

/// The one document of the collection of leases.
fn lease() -> Document {
    doc! {"_id": "migrations"}
}
