//! `POST /auth/forgot-password`, `/auth/reset-password` and `/auth/change-password`.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use contract::problem::Problem;
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::caller::Caller;
use super::client::FromClient;
use super::fields::Faults;
use super::verify_email::{bad_token, token};
use super::{answer_as_problem, confirmation, unavailable};
use crate::accounts::Email;
use crate::credentials::CredentialsError;
use crate::password::HasherError;
use crate::passwords::PasswordError;
use crate::state::AppState;

/// No answer to a forgotten password comes sooner: what there is to do for an account is done by then, so that the time
/// does not tell whether there is one.
const EQUAL_TIME: Duration = Duration::from_millis(300);

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error("the platform sends no mail")]
    NoMail,
    #[error("no such account any more")]
    Gone,
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// Who has forgotten a password.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ForgotPassword")]
pub(super) struct Forgotten {
    #[schemars(required)]
    email: Option<String>,
}

/// 202, whether there is such an account or not: if there is, a letter is on its way. Open to everybody.
pub(super) async fn forgot(
    State(state): State<AppState>,
    Json(body): Json<Forgotten>,
) -> Result<StatusCode, RouteError> {
    let answer_at = Instant::now() + EQUAL_TIME;
    let mut faults = Faults::default();
    let email = faults.required("email", body.email.as_deref(), Email::parse);
    let email = email.ok_or(RouteError::Invalid(faults))?;
    if !state.passwords.mail {
        return Err(RouteError::NoMail);
    }
    let sent = state.passwords.forgotten(&email.key()).await;
    sleep_until(answer_at).await;
    sent?;
    Ok(StatusCode::ACCEPTED)
}

/// The token of the letter, and the password that is to be.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ResetPassword")]
pub(super) struct Reset {
    #[schemars(required)]
    token: Option<String>,
    #[schemars(required)]
    password: Option<String>,
}

/// 204 once the password is the new one and all sessions are over. Open to whoever has the token.
pub(super) async fn reset(State(state): State<AppState>, Json(body): Json<Reset>) -> Result<StatusCode, RouteError> {
    let mut faults = Faults::default();
    let password = faults.required_text("password", body.password);
    let password = password.ok_or(RouteError::Invalid(faults))?;
    let token = token(body.token.as_deref()).map_err(RouteError::Invalid)?.ok_or(PasswordError::BadToken)?;
    state.passwords.reset(&token, &password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The password that was, and the one that is to be.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ChangePassword")]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    #[schemars(required)]
    current_password: Option<String>,
    #[schemars(required)]
    password: Option<String>,
}

/// 204 once the password is the new one and all other sessions are over. Open to whoever is logged in and knows the old
/// one.
pub(super) async fn change(
    State(state): State<AppState>,
    Caller(session): Caller,
    FromClient(client): FromClient,
    Json(body): Json<Change>,
) -> Result<StatusCode, RouteError> {
    let mut faults = Faults::default();
    let current = faults.required_text("currentPassword", body.current_password);
    let new = faults.required_text("password", body.password);
    let (Some(current), Some(new)) = (current, new) else { return Err(RouteError::Invalid(faults)) };
    let account = state.users.get(session.user).await?.ok_or(RouteError::Gone)?;
    let account = state.credentials.confirm(account, &current, client.address.as_deref()).await?;
    // Its hash may have been made anew a moment ago, which leaves the epoch as it is.
    state.passwords.change(&account, &session, &new).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::NoMail => {
                Self::new(StatusCode::CONFLICT, "email-not-configured", "This platform sends no e-mail")
                    .detail("Ask an administrator of this platform.")
            }
            RouteError::Gone => Self::not_found("The account is gone."),
            RouteError::Credentials(error) => confirmation::within_session(&error),
            RouteError::Password(PasswordError::BadToken) => bad_token(),
            RouteError::Password(PasswordError::Fault(fault)) => {
                Self::validation_failed().error("password", fault.to_string())
            }
            RouteError::Password(PasswordError::Contended) => {
                Self::conflict("The password was changed by another request at the same moment.")
            }
            RouteError::Password(PasswordError::Hasher(HasherError::Busy) | PasswordError::Database(_))
            | RouteError::Database(_) => unavailable(),
            RouteError::Password(PasswordError::Hasher(_)) => Self::internal(),
        }
    }
}

answer_as_problem!(RouteError, credentials);
