//! What the service remembers, in `MongoDB`.

pub mod contacts;
pub mod letters;
mod migrations;
pub mod notifications;

pub use contacts::Contacts;
pub use letters::Letters;
pub use migrations::MIGRATIONS;
pub use notifications::Notifications;

use jiff::Timestamp;
use mongodb::bson::DateTime;

fn stored(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millisecond())
}

fn restored(time: DateTime) -> Timestamp {
    // Everything stored came from a Timestamp, so it lies in its range.
    Timestamp::from_millisecond(time.timestamp_millis()).unwrap_or(Timestamp::MAX)
}
