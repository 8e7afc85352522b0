//! What a wrong password or code is answered with, where it is asked for.

use std::time::Duration;

use axum::http::StatusCode;
use contract::problem::Problem;

use super::unavailable;
use crate::credentials::CredentialsError;
use crate::password::HasherError;
use crate::second_step::StepError;

/// To who is not logged in.
pub(super) fn at_log_in(error: &CredentialsError) -> Problem {
    match error {
        CredentialsError::Wrong => {
            Problem::new(StatusCode::UNAUTHORIZED, "invalid-credentials", "Wrong name or password")
        }
        other => credentials(other),
    }
}

/// To who is logged in and repeats the password; not a 401, which would be about the access token.
pub(super) fn within_session(error: &CredentialsError) -> Problem {
    match error {
        CredentialsError::Wrong => Problem::new(StatusCode::FORBIDDEN, "wrong-password", "Wrong password"),
        other => credentials(other),
    }
}

fn credentials(error: &CredentialsError) -> Problem {
    match error {
        CredentialsError::Locked(wait) => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "login-locked", "Too many attempts to log in")
                .detail(format!("Try again in {} s.", whole_seconds(*wait)))
        }
        CredentialsError::NotCounted(_) => {
            Problem::unavailable("Attempts to log in cannot be counted at the moment. Try again in a moment.")
        }
        CredentialsError::Hasher(HasherError::Busy) | CredentialsError::Database(_) => unavailable(),
        CredentialsError::Wrong | CredentialsError::Hasher(_) => Problem::internal(),
    }
}

/// What is wrong with a second step.
pub(super) fn second_step(error: &StepError) -> Problem {
    let conflict = |code, title| Problem::new(StatusCode::CONFLICT, code, title);
    match error {
        StepError::AlreadyEnabled => conflict("second-step-enabled", "Logging in takes a second step already"),
        StepError::NotEnabled => conflict("second-step-not-enabled", "Logging in takes no second step"),
        StepError::NothingToConfirm => conflict("nothing-to-confirm", "There is no secret to be confirmed")
            .detail("Begin again with POST /api/v1/auth/mfa/totp: a secret waits for 15 minutes."),
        StepError::WrongCode => Problem::new(StatusCode::FORBIDDEN, "invalid-code", "Wrong code")
            .detail("The code is wrong, too old, or was used before."),
        StepError::Locked(wait) => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "second-step-locked", "Too many wrong codes")
                .detail(format!("Try again in {} s.", whole_seconds(*wait)))
        }
        StepError::NotCounted(_) => {
            Problem::unavailable("Attempts at a second step cannot be counted at the moment. Try again in a moment.")
        }
        StepError::Database(_) => unavailable(),
        StepError::Seal(_) => Problem::internal(),
    }
}

/// How long to wait, where that is the cure.
pub(super) fn wait(error: &CredentialsError) -> Option<Duration> {
    match error {
        CredentialsError::Locked(wait) => Some(*wait),
        _ => None,
    }
}

/// As `Retry-After` says it: rounded up.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
