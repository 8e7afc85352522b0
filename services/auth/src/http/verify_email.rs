//! `POST /auth/verify-email` and `/auth/resend-verification`: showing that mail to an address arrives.

use axum::extract::State;
use axum::http::StatusCode;
use contract::problem::Problem;
use runtime::extract::Json;
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::fields::Faults;
use super::register::taken;
use super::{answer_as_problem, unavailable};
use crate::addresses::AddressError;
use crate::one_time::Token;
use crate::state::AppState;

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// The body: the token of the letter.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "VerifyEmail")]
pub(super) struct Body {
    #[schemars(required)]
    token: Option<String>,
}

/// 204 once the address is verified, and the account's where another was asked for. Open to whoever has the token that
/// was sent there.
pub(super) async fn verify(State(state): State<AppState>, Json(body): Json<Body>) -> Result<StatusCode, RouteError> {
    let token = token(body.token.as_deref()).map_err(RouteError::Invalid)?.ok_or(AddressError::BadToken)?;
    state.addresses.verify(&token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 202: another letter is on its way, unless the address is verified or several letters are on their way already.
pub(super) async fn resend(State(state): State<AppState>, Caller(session): Caller) -> Result<StatusCode, RouteError> {
    let account = state.users.get(session.user).await?.ok_or(AddressError::Gone)?;
    state.addresses.ask_again(&account).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The token of a body; `None` where the text cannot be one.
pub(super) fn token(text: Option<&str>) -> Result<Option<Token>, Faults> {
    let mut faults = Faults::default();
    match faults.required("token", text, |text| Ok::<_, String>(text.trim().parse().ok())) {
        Some(token) => Ok(token),
        None => Err(faults),
    }
}

/// 400 for a token that is good for nothing.
pub(super) fn bad_token() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid-token", "The link is not good, or no longer")
        .detail("It was used, replaced by a newer one, or is too old. Ask for another.")
        .error("token", "is unknown, was used, or is too old")
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::Address(AddressError::BadToken) => bad_token(),
            RouteError::Address(AddressError::Taken(names)) => taken(&names),
            RouteError::Address(AddressError::Gone) => Self::not_found("The account is gone."),
            RouteError::Address(AddressError::Database(_)) | RouteError::Database(_) => unavailable(),
        }
    }
}

answer_as_problem!(RouteError);
