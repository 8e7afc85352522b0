//! `/auth/mfa/totp`: the caller's second step.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use contract::problem::Problem;
use jiff::Timestamp;
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::no_store;
use super::caller::Caller;
use super::client::FromClient;
use super::fields::Faults;
use super::{answer_as_problem, confirmation, unavailable};
use crate::accounts::Account;
use crate::credentials::CredentialsError;
use crate::second_step::StepError;
use crate::sessions::Session;
use crate::state::AppState;

/// A secret in an answer is for the client alone.
type Secret<T> = ([(HeaderName, HeaderValue); 1], axum::Json<T>);

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error("no such account any more")]
    Gone,
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// The caller's second step.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SecondStep")]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes_left: Option<usize>,
}

/// 200 with the state of the caller's second step.
pub(super) async fn show(
    State(state): State<AppState>,
    Caller(session): Caller,
) -> Result<axum::Json<Shown>, RouteError> {
    let second_step = account(&state, &session).await?.second_step;
    Ok(axum::Json(Shown {
        enabled: second_step.is_some(),
        since: second_step.as_ref().map(|second_step| second_step.since),
        recovery_codes_left: second_step.as_ref().map(|second_step| second_step.recovery.len()),
    }))
}

/// A body with the password of who is logged in: a session that was left open is not enough.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WithPassword")]
pub(super) struct WithPassword {
    #[schemars(required)]
    password: Option<String>,
}

/// What an authenticator app needs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecondStepSecret")]
pub(super) struct Begun {
    secret: String,
    uri: String,
}

/// 201 with a new secret, shown this once. Nothing is asked for before it has been confirmed.
pub(super) async fn begin(
    State(state): State<AppState>,
    Caller(session): Caller,
    FromClient(client): FromClient,
    Json(body): Json<WithPassword>,
) -> Result<(StatusCode, Secret<Begun>), RouteError> {
    let account = confirmed(&state, &session, &body, client.address.as_deref()).await?;
    let enrolment = state.second_steps.begin(&account).await?;
    let begun = Begun { secret: enrolment.secret.base32(), uri: enrolment.uri };
    Ok((StatusCode::CREATED, (no_store(), axum::Json(begun))))
}

/// A body with a code of the app.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "WithCode")]
pub(super) struct WithCode {
    #[schemars(required)]
    code: Option<String>,
}

/// Codes for the day the app is lost.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecoveryCodes {
    recovery_codes: Vec<String>,
}

/// 200 with recovery codes, shown this once, and the second step is asked for from now on.
pub(super) async fn confirm(
    State(state): State<AppState>,
    Caller(session): Caller,
    Json(body): Json<WithCode>,
) -> Result<Secret<RecoveryCodes>, RouteError> {
    let code = given("code", body.code)?;
    let account = account(&state, &session).await?;
    let confirmed = state.second_steps.confirm(&account, code.trim()).await?;
    Ok((no_store(), axum::Json(RecoveryCodes { recovery_codes: confirmed.recovery_codes })))
}

/// 200 with new recovery codes in the place of the old ones, shown this once.
pub(super) async fn renew_recovery_codes(
    State(state): State<AppState>,
    Caller(session): Caller,
    FromClient(client): FromClient,
    Json(body): Json<WithPassword>,
) -> Result<Secret<RecoveryCodes>, RouteError> {
    let account = confirmed(&state, &session, &body, client.address.as_deref()).await?;
    let recovery_codes = state.second_steps.renew_recovery_codes(&account).await?;
    Ok((no_store(), axum::Json(RecoveryCodes { recovery_codes })))
}

/// 204 once no second step is asked for any more.
pub(super) async fn disable(
    State(state): State<AppState>,
    Caller(session): Caller,
    FromClient(client): FromClient,
    Json(body): Json<WithPassword>,
) -> Result<StatusCode, RouteError> {
    let account = confirmed(&state, &session, &body, client.address.as_deref()).await?;
    state.second_steps.disable(account.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn account(state: &AppState, session: &Session) -> Result<Account, RouteError> {
    state.users.get(session.user).await?.ok_or(RouteError::Gone)
}

async fn confirmed(
    state: &AppState,
    session: &Session,
    body: &WithPassword,
    address: Option<&str>,
) -> Result<Account, RouteError> {
    let password = given("password", body.password.clone())?;
    let account = account(state, session).await?;
    Ok(state.credentials.confirm(account, &password, address).await?)
}

fn given(field: &str, value: Option<String>) -> Result<String, RouteError> {
    let mut faults = Faults::default();
    faults.required_text(field, value).ok_or(RouteError::Invalid(faults))
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::Gone => Self::not_found("The account is gone."),
            RouteError::Credentials(error) => confirmation::within_session(&error),
            RouteError::Step(error) => confirmation::second_step(&error),
            RouteError::Database(_) => unavailable(),
        }
    }
}

impl RouteError {
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Credentials(error) => confirmation::wait(error),
            Self::Step(StepError::Locked(wait)) => Some(*wait),
            _ => None,
        }
    }
}

answer_as_problem!(RouteError, wait);
