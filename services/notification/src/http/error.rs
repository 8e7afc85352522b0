//! Errors as clients read them.

use contract::{page::InvalidCursor, problem::Problem};

/// Why a route about notifications did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotificationsError {
    /// No such notification, or none that is the caller's: the two are not told apart.
    #[error("no such notification")]
    NotFound,
    /// The list was asked for from a place it does not have.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The database did not do it.
    #[error("the database: {0}")]
    Database(#[from] mongodb::error::Error),
}

impl From<NotificationsError> for Problem {
    fn from(error: NotificationsError) -> Self {
        match error {
            NotificationsError::NotFound => Self::not_found("There is no notification with this id."),
            NotificationsError::Cursor(error) => Self::validation_failed().error("cursor", error.to_string()),
            NotificationsError::Database(_) => {
                Self::unavailable("Notifications cannot be reached. Try again in a moment.")
            }
        }
    }
}
