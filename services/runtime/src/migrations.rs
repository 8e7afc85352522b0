//! The form of a service's database: steps that bring it from one release's to the next's, each taken once.
//!
//! A service lists its migrations in order, under names that never change. What has been taken stands in the collection
//! `migrations` of the database itself; who is at work holds a lease there, so that two programs do not meet. The program
//! of a new release takes what is missing when it is run as `<service> migrate`, while the release before still serves;
//! the service does the same at its start, and finds nothing to do then but in a new database.
//!
//! Two rules make that safe. A migration may be cut off anywhere and begin again, so it has to be idempotent. And the
//! release before goes on reading and writing meanwhile, and may be returned to: a migration adds, and what the release
//! before needs is taken away by the release after at the earliest.

mod ledger;

use std::{pin::pin, time::Duration};

use futures::future::BoxFuture;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use ledger::Ledger;

use crate::connect::Database;

/// How long to wait before the lease, or a database that has failed, is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// A step from one form of the database to the next.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its name, which stays the same for ever.
    pub name: &'static str,
    /// What it does. It may begin anew after having been cut off anywhere.
    pub run: fn(Database) -> BoxFuture<'static, anyhow::Result<()>>,
}

/// Why the migrations were not all taken. Trying again takes up where they stopped.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database did not do what it was asked to.
    #[error("MongoDB: {0}")]
    Database(#[from] mongodb::error::Error),
    /// A migration failed.
    #[error("the migration {name:?} failed: {reason:#}")]
    Failed {
        /// Which.
        name: &'static str,
        /// Why.
        reason: anyhow::Error,
    },
    /// Another program may be at work by now, as this one could not renew its lease in time.
    #[error("the lease ran out during the migration {0:?}")]
    LeaseLost(&'static str),
    /// It was told to stop.
    #[error("told to stop before all migrations were taken")]
    Stopped,
}

/// Takes those of `steps` that `database` has not been through, in their order; answers their names. Waits while another program does so.
pub async fn run(
    database: &Database,
    steps: &[Migration],
    stop: &CancellationToken,
) -> Result<Vec<&'static str>, MigrationError> {
    let ledger = Ledger::of(database);
    let has_turn = stop.run_until_cancelled(has_turn(&ledger, steps)).await;
    if !has_turn.ok_or(MigrationError::Stopped)?? {
        return Ok(Vec::new());
    }
    let outcome = take(database, &ledger, steps, stop).await;
    // Who waits for it need not wait for its end; it ends by itself if this fails.
    if let Err(error) = ledger.give_lease_back().await {
        tracing::debug!(%error, "the lease of migrations ends by itself");
    }
    outcome
}

/// Waits for the lease, and tells whether it was taken: nobody needs it where nothing is missing, as at most starts.
async fn has_turn(ledger: &Ledger, steps: &[Migration]) -> Result<bool, MigrationError> {
    while !ledger.missing(steps).await?.is_empty() {
        if ledger.take_lease().await? {
            return Ok(true);
        }
        sleep(PAUSE).await;
    }
    Ok(false)
}

/// What is done by who holds the lease.
async fn take(
    database: &Database,
    ledger: &Ledger,
    steps: &[Migration],
    stop: &CancellationToken,
) -> Result<Vec<&'static str>, MigrationError> {
    let mut taken = Vec::new();
    let mut lost = pin!(ledger.keep_lease());
    // Looked up again: another program may have taken some until a moment ago.
    for step in ledger.missing(steps).await? {
        tracing::info!(migration = step.name, database = database.name(), "migrating");
        tokio::select! {
            outcome = (step.run)(database.clone()) => {
                outcome.map_err(|reason| MigrationError::Failed { name: step.name, reason })?;
            }
            () = &mut lost => return Err(MigrationError::LeaseLost(step.name)),
            () = stop.cancelled() => return Err(MigrationError::Stopped),
        }
        ledger.record(step.name).await?;
        tracing::info!(migration = step.name, database = database.name(), "migrated");
        taken.push(step.name);
    }
    Ok(taken)
}

/// Whether a service's database has the form that it works with.
#[derive(Clone, Debug)]
pub struct Progress(watch::Receiver<bool>);

impl Progress {
    /// For [`crate::health::Health::check`].
    pub fn check(&self) -> Result<(), String> {
        if *self.0.borrow() { Ok(()) } else { Err("its migrations are under way".to_owned()) }
    }

    /// Waits until it has. Not at all after a stop that came first.
    pub async fn reached(&self) {
        if self.0.clone().wait_for(|done| *done).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The work of a service's start, for [`crate::service::Service::task`], and how far it is. It tries until it has come to its end.
#[must_use]
pub fn at_start(
    database: Database,
    steps: &'static [Migration],
    stop: CancellationToken,
) -> (BoxFuture<'static, ()>, Progress) {
    let (done, progress) = watch::channel(false);
    let work = async move {
        loop {
            match run(&database, steps, &stop).await {
                Ok(_) => {
                    done.send_replace(true);
                    return;
                }
                Err(MigrationError::Stopped) => return,
                Err(error) => {
                    tracing::warn!(error = error.to_string(), "the migrations are tried again");
                    if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                        return;
                    }
                }
            }
        }
    };
    (Box::pin(work), Progress(progress))
}
