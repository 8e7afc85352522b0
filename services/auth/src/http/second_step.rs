//! `/auth/mfa/totp`: the caller's second step, and taking it at a log-in.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use contract::problem::Problem;
use jiff::Timestamp;
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Tokens, no_store};
use super::caller::Caller;
use super::client::FromClient;
use super::fields::Faults;
use super::login::{EntryError, may_enter};
use super::{answer_as_problem, confirmation, unavailable};
use crate::accounts::Account;
use crate::credentials::CredentialsError;
use crate::one_time::{Purpose, Token};
use crate::second_step::StepError;
use crate::sessions::Session;
use crate::state::AppState;
use crate::tokens::signer::SignError;

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
    value.ok_or_else(|| {
        let mut faults = Faults::default();
        faults.add(field, "is missing");
        RouteError::Invalid(faults)
    })
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

/// The body of the second step: the challenge of the first, and a code of either kind.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SecondStepLogIn")]
#[serde(rename_all = "camelCase")]
pub(super) struct LogIn {
    #[schemars(required)]
    challenge: Option<String>,
    code: Option<String>,
    recovery_code: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LogInError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error("the challenge is none, has been answered, or is too old")]
    BadChallenge,
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// 200 with the tokens of a new session. Open to whoever has just given the right password, as the challenge shows.
pub(super) async fn login(
    State(state): State<AppState>,
    FromClient(client): FromClient,
    Json(body): Json<LogIn>,
) -> Result<Tokens, LogInError> {
    let (challenge, code) = parse(body).map_err(LogInError::Invalid)?;
    let challenge: Token = challenge.parse().map_err(|_| LogInError::BadChallenge)?;
    let now = state.clock.now();
    let issued = state.one_time.get(&challenge, Purpose::SecondStep, now).await?.ok_or(LogInError::BadChallenge)?;
    let account = state.users.get(issued.user).await?.filter(|account| account.epoch == issued.epoch);
    let account = account.ok_or(LogInError::BadChallenge)?;
    match code {
        Code::Totp(code) => state.second_steps.take_code(&account, code.trim()).await?,
        Code::Recovery(code) => state.second_steps.take_recovery_code(&account, &code).await?,
    }
    // Whoever takes the challenge is in, whatever other codes are presented with it at the same moment.
    state.one_time.take(&challenge, Purpose::SecondStep, now).await?.ok_or(LogInError::BadChallenge)?;
    may_enter(&account, &state)?;
    let refresh_token = state.sessions.open(account.id, account.epoch, client).await?;
    Ok(Tokens::new(&state.signer, &account, &refresh_token, now)?)
}

enum Code {
    Totp(String),
    Recovery(String),
}

fn parse(body: LogIn) -> Result<(String, Code), Faults> {
    let mut faults = Faults::default();
    let code = match (body.code, body.recovery_code) {
        (Some(code), None) => Some(Code::Totp(code)),
        (None, Some(code)) => Some(Code::Recovery(code)),
        (None, None) => {
            faults.add("code", "is missing (or give recoveryCode)");
            None
        }
        (Some(_), Some(_)) => {
            faults.add("recoveryCode", "give either code or recoveryCode");
            None
        }
    };
    match (body.challenge, code) {
        (Some(challenge), Some(code)) => Ok((challenge, code)),
        (Some(_), None) => Err(faults),
        (None, _) => {
            faults.add("challenge", "is missing");
            Err(faults)
        }
    }
}

impl From<LogInError> for Problem {
    fn from(error: LogInError) -> Self {
        let unauthorized = |code, title| Self::new(StatusCode::UNAUTHORIZED, code, title);
        match error {
            LogInError::Invalid(faults) => faults.into(),
            LogInError::BadChallenge | LogInError::Step(StepError::NotEnabled) => {
                unauthorized("invalid-challenge", "The log-in has to begin again")
                    .detail("The challenge is unknown, was answered already, or is older than five minutes.")
            }
            LogInError::Step(StepError::WrongCode) => {
                unauthorized("invalid-code", "Wrong code").detail("The code is wrong, too old, or was used before.")
            }
            LogInError::Step(error) => confirmation::second_step(&error),
            LogInError::Entry(refused) => refused.into(),
            LogInError::Database(_) => unavailable(),
            LogInError::Sign(_) => Self::internal(),
        }
    }
}

impl LogInError {
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Step(StepError::Locked(wait)) => Some(*wait),
            _ => None,
        }
    }
}

answer_as_problem!(LogInError, wait);
