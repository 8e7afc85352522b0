//! The second step of a log-in: codes of an authenticator app, and codes kept for the day the app is lost.

mod enrolment;
pub mod recovery;
pub mod sealing;
pub mod totp;

pub use enrolment::{Confirmed, Enrolment, SecondSteps, StepError};

use jiff::Timestamp;

use self::sealing::Sealed;

/// What is kept of an account's second step.
#[derive(Clone, Debug)]
pub struct SecondStep {
    /// The secret shared with the app, encrypted.
    pub secret: Sealed,
    /// The last time step whose code was used: no code of it or of an earlier one is taken again (RFC 6238 section 5.2).
    pub last_step: i64,
    /// Digests of the recovery codes that have not been used.
    pub recovery: Vec<recovery::Digest>,
    /// When it was confirmed.
    pub since: Timestamp,
}

/// A secret that has been shown and not been confirmed yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The secret, encrypted.
    pub secret: Sealed,
    /// When it was shown.
    pub shown_at: Timestamp,
}
