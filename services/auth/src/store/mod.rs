//! Where accounts and sessions are kept: `MongoDB`, one collection each.

pub mod audit;
mod migrations;
pub mod one_time;
pub mod sessions;
pub mod users;

use jiff::Timestamp;
use mongodb::bson;
use runtime::connect::Database;

pub use audit::AuditStore;
pub use migrations::MIGRATIONS;
pub use one_time::OneTimeStore;
pub use sessions::SessionStore;
pub use users::UserStore;

/// The service's collections.
#[derive(Clone, Debug)]
pub struct Store {
    /// Accounts.
    pub users: UserStore,
    /// Sessions.
    pub sessions: SessionStore,
    /// Tokens that work once.
    pub one_time: OneTimeStore,
    /// What those in charge did.
    pub audit: AuditStore,
}

impl Store {
    /// The collections in `database`.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self {
            users: UserStore::new(database),
            sessions: SessionStore::new(database),
            one_time: OneTimeStore::new(database),
            audit: AuditStore::new(database),
        }
    }

    /// Makes the indexes that the rules and queries rest on. Harmless at any time.
    async fn make_indexes(&self) -> Result<(), mongodb::error::Error> {
        tokio::try_join!(
            self.users.prepare(),
            self.sessions.make_indexes(),
            self.one_time.make_indexes(),
            self.audit.make_indexes(),
        )?;
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
