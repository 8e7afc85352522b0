//! A lease on a piece of work, in the database: one process has it at a time.
//!
//! The server's clock decides when a lease is over; the holder counts from before it asked, and stops a while earlier. So the two never overlap,
//! whatever the clocks of the processes say.

use std::time::Duration;

use mongodb::{
    bson::{DateTime, Document, doc},
    error::{Error, ErrorKind, WriteFailure},
    options::{CollectionOptions, ReturnDocument, WriteConcern},
};
use tokio::time::Instant;

use crate::connect::{Collection, Database};

/// How long a lease lasts unless renewed. So long nobody does the work of a process that was killed.
const LIFE: Duration = Duration::from_secs(15);
const LIFE_MILLISECONDS: i64 = 15_000;
/// With less than this left, it is renewed.
const RENEW_BELOW: Duration = Duration::from_secs(10);
/// So long before its end the holder stops.
const MARGIN: Duration = Duration::from_secs(3);

/// How often it is tried to take a lease that somebody else has.
const TRY_EVERY: Duration = Duration::from_secs(2);

const DUPLICATE_KEY: i32 = 11_000;

/// One process's claim to a piece of work.
#[derive(Debug)]
pub struct Lease {
    leases: Collection<Document>,
    name: String,
    holder: String,
    /// Until when it is ours, by our own clock.
    until: Option<Instant>,
    /// Not to be tried before; somebody else had it.
    not_before: Option<Instant>,
}

impl Lease {
    /// On the work of this name, whose leases are in `collection`, for `holder`. It is not taken yet.
    #[must_use]
    pub fn new(database: &Database, collection: &str, name: String, holder: String) -> Self {
        // A lease that could be rolled back would be nobody's and somebody's.
        let options = CollectionOptions::builder().write_concern(WriteConcern::majority()).build();
        Self {
            leases: database.collection_with_options(collection, options),
            name,
            holder,
            until: None,
            not_before: None,
        }
    }

    /// Until when the work may be done: the lease is taken, or renewed if it runs short. None if somebody else has it.
    pub async fn hold(&mut self) -> Result<Option<Instant>, Error> {
        let now = Instant::now();
        if let Some(until) = self.until.filter(|until| *until > now + RENEW_BELOW) {
            return Ok(Some(until - MARGIN));
        }
        if self.not_before.is_some_and(|not_before| now < not_before) {
            return Ok(None);
        }
        let taken = self.take().await?;
        self.until = taken.then(|| now + LIFE);
        self.not_before = (!taken).then(|| now + TRY_EVERY);
        Ok(self.until.map(|until| until - MARGIN))
    }

    async fn take(&self) -> Result<bool, Error> {
        let over = doc! {"$lt": [{"$ifNull": ["$until", DateTime::from_millis(0)]}, "$$NOW"]};
        let free = doc! {"$or": [{"$eq": ["$holder", &self.holder]}, over]};
        let taken = doc! {"$set": {
            "holder": {"$cond": [&free, &self.holder, "$holder"]},
            "until": {"$cond": [&free, {"$add": ["$$NOW", LIFE_MILLISECONDS]}, "$until"]},
        }};
        let this_one = doc! {"_id": &self.name};
        let leases = self.leases.now();
        let after = leases.find_one_and_update(this_one, vec![taken]).upsert(true);
        match after.return_document(ReturnDocument::After).await {
            Ok(lease) => {
                Ok(lease.is_some_and(|lease| lease.get_str("holder").is_ok_and(|holder| holder == self.holder)))
            }
            // Somebody else has just made it.
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets it go, so that nobody has to wait for its end.
    pub async fn release(&mut self) {
        if self.until.take().is_some() {
            let mine = doc! {"_id": &self.name, "holder": &self.holder};
            if let Err(error) = self.leases.now().delete_one(mine).await {
                tracing::debug!(lease = self.name, error = error.to_string(), "a lease is left to run out");
            }
        }
    }
}

fn is_duplicate(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code == DUPLICATE_KEY,
        ErrorKind::Command(command) => command.code == DUPLICATE_KEY,
        _ => false,
    }
}
