//! What a request that failed says: of the endpoint, of the service, of the client.

use std::{error::Error as _, io};

use http_body_util::LengthLimitError;
use hyper_util::client::legacy::Error;

use crate::error::GatewayError;

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was sent, for the endpoint takes no connection.
    NotConnected,
    /// Nothing was sent, for a reason of our own.
    NotSent,
    /// It may have arrived.
    BrokenOff,
    /// The client broke it off.
    ByClient,
}

/// Why nobody took a request.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// Its name leads nowhere.
    #[error("it has no address")]
    NoAddress,
    /// None of its addresses took a connection a moment ago.
    #[error("all of its addresses are set aside")]
    SetAside,
    /// None of its addresses takes the connection.
    #[error("no connection")]
    NotConnected(#[source] Error),
}

impl Failure {
    /// Of an error of the client that sends requests.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        if error.is_connect() {
            return if is_ours(error) { Self::NotSent } else { Self::NotConnected };
        }
        match cause::<hyper::Error>(error) {
            Some(cause) if cause.is_canceled() => Self::NotSent,
            Some(cause) if cause.is_user() => Self::ByClient,
            _ => Self::BrokenOff,
        }
    }
}

/// A body that could not be read to its end: it is larger than `limit` bytes, or the client went away.
pub fn aborted(error: impl std::error::Error + Send + Sync + 'static, limit: u64) -> GatewayError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(known) = cause {
        if known.is::<LengthLimitError>() {
            return GatewayError::Body(limit);
        }
        cause = known.source();
    }
    GatewayError::Aborted(Box::new(error))
}

/// Whether a connection failed for want of files or ports on this side.
fn is_ours(error: &Error) -> bool {
    /// Numbers of errors of Linux: too many open files, of the process and of the system; no address to connect from.
    const OURS: [i32; 3] = [24, 23, 99];
    cause::<io::Error>(error).and_then(io::Error::raw_os_error).is_some_and(|number| OURS.contains(&number))
}

/// The first error of type `T` among the causes.
fn cause<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}
