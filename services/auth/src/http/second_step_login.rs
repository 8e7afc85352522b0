//! `POST /auth/mfa/totp/login`: the second step of a log-in. Open to whoever has just given the right password, as the
//! challenge shows.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use contract::problem::Problem;
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::Tokens;
use super::client::FromClient;
use super::fields::Faults;
use super::login::{EntryError, may_enter};
use super::{answer_as_problem, confirmation, unavailable};
use crate::one_time::{Purpose, Token};
use crate::second_step::StepError;
use crate::state::AppState;
use crate::tokens::signer::SignError;

/// The body of the second step: the challenge of the first, and a code of either kind.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SecondStepLogIn")]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    #[schemars(required)]
    challenge: Option<String>,
    code: Option<String>,
    recovery_code: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
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

/// 200 with the tokens of a new session.
pub(super) async fn login(
    State(state): State<AppState>,
    FromClient(client): FromClient,
    Json(body): Json<Body>,
) -> Result<Tokens, RouteError> {
    let (challenge, code) = parse(body).map_err(RouteError::Invalid)?;
    let challenge: Token = challenge.parse().map_err(|_| RouteError::BadChallenge)?;
    let now = state.clock.now();
    let issued = state.one_time.get(&challenge, Purpose::SecondStep, now).await?.ok_or(RouteError::BadChallenge)?;
    let account = state.users.get(issued.user).await?.filter(|account| account.epoch == issued.epoch);
    let account = account.ok_or(RouteError::BadChallenge)?;
    match code {
        Code::Totp(code) => state.second_steps.take_code(&account, code.trim()).await?,
        Code::Recovery(code) => state.second_steps.take_recovery_code(&account, &code).await?,
    }
    // Whoever takes the challenge is in, whatever other codes are presented with it at the same moment.
    state.one_time.take(&challenge, Purpose::SecondStep, now).await?.ok_or(RouteError::BadChallenge)?;
    may_enter(&account, &state)?;
    let refresh_token = state.sessions.open(account.id, account.epoch, client).await?;
    Ok(Tokens::new(&state.signer, &account, &refresh_token, now)?)
}

enum Code {
    Totp(String),
    Recovery(String),
}

fn parse(body: Body) -> Result<(String, Code), Faults> {
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

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        let unauthorized = |code, title| Self::new(StatusCode::UNAUTHORIZED, code, title);
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::BadChallenge | RouteError::Step(StepError::NotEnabled) => {
                unauthorized("invalid-challenge", "The log-in has to begin again")
                    .detail("The challenge is unknown, was answered already, or is older than five minutes.")
            }
            RouteError::Step(StepError::WrongCode) => {
                unauthorized("invalid-code", "Wrong code").detail("The code is wrong, too old, or was used before.")
            }
            RouteError::Step(error) => confirmation::second_step(&error),
            RouteError::Entry(refused) => refused.into(),
            RouteError::Database(_) => unavailable(),
            RouteError::Sign(_) => Self::internal(),
        }
    }
}

impl RouteError {
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Step(StepError::Locked(wait)) => Some(*wait),
            _ => None,
        }
    }
}

answer_as_problem!(RouteError, wait);
