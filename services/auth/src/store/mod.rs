//! Where accounts and sessions are kept: `MongoDB`, one collection each.

mod migrations;
pub mod sessions;
pub mod users;

use jiff::Timestamp;
use mongodb::Database;
use mongodb::bson;

pub use migrations::MIGRATIONS;
pub use sessions::SessionStore;
pub use users::UserStore;

/// The service's collections.
#[derive(Clone, Debug)]
pub struct Store {
    /// Accounts.
    pub users: UserStore,
    /// Sessions.
    pub sessions: SessionStore,
}

impl Store {
    /// The collections in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { users: UserStore::new(database), sessions: SessionStore::new(database) }
    }

    /// Makes the indexes that the rules and queries rest on. Harmless at any time.
    async fn make_indexes(&self) -> Result<(), mongodb::error::Error> {
        tokio::try_join!(self.users.prepare(), self.sessions.make_indexes())?;
        Ok(())
    }
}

/// What the database keeps of a time: milliseconds.
fn millis(time: Timestamp) -> bson::DateTime {
    bson::DateTime::from_millis(time.as_millisecond())
}

fn timestamp(time: bson::DateTime) -> Timestamp {
    // The database holds times that `millis` wrote, all of them within jiff's range.
    Timestamp::from_millisecond(time.timestamp_millis()).unwrap_or_default()
}
