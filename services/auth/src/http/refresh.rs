//! `POST /auth/refresh`: the next tokens of a session. Open to whoever has its refresh token.

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
use super::{answer_as_problem, unavailable};
use crate::sessions::{EndReason, RefreshError};
use crate::state::AppState;
use crate::tokens::refresh::RefreshToken;
use crate::tokens::signer::SignError;

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Refresh")]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    #[schemars(required)]
    refresh_token: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error("invalid fields")]
    Invalid(Faults),
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// 200 with the next tokens.
pub(super) async fn refresh(
    State(state): State<AppState>,
    FromClient(client): FromClient,
    Json(body): Json<Body>,
) -> Result<Tokens, RouteError> {
    let mut faults = Faults::default();
    let text = faults.required_text("refreshToken", body.refresh_token);
    let token: RefreshToken = text.ok_or(RouteError::Invalid(faults))?.parse().map_err(|_| RefreshError::Refused)?;
    // Taken before the session is looked at: an access token must not outlive the mark of a session ended meanwhile.
    let now = state.clock.now();
    let (session, successor) = state.sessions.refresh(&token, client).await?;
    let account = state.users.get(session.user).await?.filter(|account| account.epoch == session.epoch);
    let Some(account) = account else {
        // Whatever was to end it did not get that far.
        state.sessions.end(&session, EndReason::PasswordChanged).await?;
        return Err(RefreshError::Refused.into());
    };
    may_enter(&account, &state)?;
    Ok(Tokens::new(&state.signer, &account, &successor, now)?)
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        let unauthorized = |code, title| Self::new(StatusCode::UNAUTHORIZED, code, title);
        match error {
            RouteError::Invalid(faults) => faults.into(),
            RouteError::Refresh(RefreshError::Refused) => {
                unauthorized("invalid-refresh-token", "The session is over: log in again")
            }
            RouteError::Refresh(RefreshError::Reused) => {
                unauthorized("refresh-token-reused", "The session was ended for safety: log in again")
                    .detail("A refresh token that had been used before was presented again.")
            }
            RouteError::Entry(refused) => refused.into(),
            RouteError::Refresh(RefreshError::Contended | RefreshError::Database(_)) | RouteError::Database(_) => {
                unavailable()
            }
            RouteError::Sign(_) => Self::internal(),
        }
    }
}

answer_as_problem!(RouteError);
