//! What the service remembers, in `MongoDB`.

pub mod contacts;
pub mod devices;
pub mod letters;
mod migrations;
pub mod notifications;
pub mod preferences;
pub mod read_marks;

pub use contacts::Contacts;
pub use devices::Devices;
pub use letters::Letters;
pub use migrations::MIGRATIONS;
pub use notifications::Notifications;
pub use preferences::Preferences;
pub use read_marks::ReadMarks;

use std::time::Duration;

use jiff::Timestamp;
use mongodb::bson::DateTime;
use mongodb::error::{Error, ErrorKind, WriteFailure};

/// The server's code for a duplicate of a unique key.
const DUPLICATE_KEY: i32 = 11_000;

fn stored(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millisecond())
}

fn restored(time: DateTime) -> Timestamp {
    // Everything stored came from a Timestamp, so it lies in its range.
    Timestamp::from_millisecond(time.timestamp_millis()).unwrap_or(Timestamp::MAX)
}

pub(crate) fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn is_duplicate(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(fault)) => fault.code == DUPLICATE_KEY,
        // From `findAndModify` it comes as a plain error.
        ErrorKind::Command(fault) => fault.code == DUPLICATE_KEY,
        _ => false,
    }
}
