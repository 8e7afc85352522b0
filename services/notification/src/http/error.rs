//! Errors as clients read them.

use contract::{page::InvalidCursor, problem::Problem};

/// Why a route did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    /// No such notification, or none that is the caller's: the two are not told apart.
    #[error("no such notification")]
    NoNotification,
    /// No such device, or none that is the caller's.
    #[error("no such device")]
    NoDevice,
    /// Fields that hold what cannot be.
    #[error("invalid fields: {0:?}")]
    Invalid(Vec<(&'static str, String)>),
    /// The list was asked for from a place it does not have.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The database did not do it.
    #[error("the database: {0}")]
    Database(#[from] mongodb::error::Error),
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NoNotification => Self::not_found("There is no notification with this id."),
            RouteError::NoDevice => Self::not_found("There is no device with this id."),
            RouteError::Invalid(faults) => faults
                .into_iter()
                .fold(Self::validation_failed(), |problem, (field, message)| problem.error(field, message)),
            RouteError::Cursor(error) => Self::validation_failed().error("cursor", error.to_string()),
            RouteError::Database(_) => Self::unavailable("Notifications cannot be reached. Try again in a moment."),
        }
    }
}
