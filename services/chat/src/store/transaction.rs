//! Transactions that are tried again where `MongoDB` says that trying again helps.

use std::time::Duration;

use mongodb::ClientSession;
use mongodb::error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{ReadConcern, SelectionCriteria, TransactionOptions, WriteConcern};
use runtime::connect::Database;
use tokio::time::Instant;

use super::StoreError;

/// How long a transaction is tried before its caller is told that the database is not there. Longer than an election takes.
const PATIENCE: Duration = Duration::from_secs(20);
const FIRST_BACKOFF: Duration = Duration::from_millis(4);
const LONGEST_BACKOFF: Duration = Duration::from_millis(250);

/// What is done within a transaction. It may run several times; only the last run counts.
pub(crate) trait Work: Send {
    /// What a successful run gives.
    type Output: Send;
    /// Why a run was given up for good.
    type Error: Send + From<StoreError> + AsStoreError;

    /// One run. Every operation must use `session` and collections within it, and every error of the database must be returned.
    fn run(&mut self, session: &mut ClientSession) -> impl Future<Output = Result<Self::Output, Self::Error>> + Send;
}

/// Tells whether an error came from the database, which decides whether another run may help.
pub trait AsStoreError {
    /// The database's error inside, if it is one.
    fn as_store_error(&self) -> Option<&StoreError>;
}

/// Runs `work` in a transaction: snapshot reads, committed by a majority before this returns.
pub(crate) async fn transact<W: Work>(database: &Database, work: &mut W) -> Result<W::Output, W::Error> {
    let deadline = Instant::now() + PATIENCE;
    // It stays until the transaction is over.
    let database = database.now();
    let mut session = database.client().start_session().await.map_err(StoreError::from)?;
    let mut backoff = FIRST_BACKOFF;
    loop {
        session.start_transaction().with_options(options()).await.map_err(StoreError::from)?;
        let failed = match work.run(&mut session).await {
            Ok(output) => match commit(&mut session, deadline).await {
                Ok(()) => return Ok(output),
                Err(error) => error.into(),
            },
            Err(error) => {
                // The server forgets the transaction anyway; what counts is why the work failed.
                let _ = session.abort_transaction().await;
                error
            }
        };
        let transient = failed.as_store_error().is_some_and(StoreError::is_transient);
        if !transient || Instant::now() + backoff > deadline {
            return Err(failed);
        }
        let pause = backoff.mul_f64(rand::random_range(0.5..1.0));
        tokio::time::sleep(pause).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}

/// Commits; where the outcome is unknown, asks again until it is known, which is safe.
async fn commit(session: &mut ClientSession, deadline: Instant) -> Result<(), StoreError> {
    loop {
        match session.commit_transaction().await {
            Ok(()) => return Ok(()),
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && Instant::now() < deadline => {
                tokio::time::sleep(FIRST_BACKOFF).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn options() -> TransactionOptions {
    TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(WriteConcern::majority())
        .selection_criteria(SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary))
        .build()
}

impl StoreError {
    /// Whether the whole transaction may succeed if run again.
    fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.contains_label(TRANSIENT_TRANSACTION_ERROR)
                    && !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
            }
            Self::Duplicate | Self::Moved => false,
        }
    }
}
