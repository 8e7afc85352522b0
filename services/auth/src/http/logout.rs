//! `POST /auth/logout` and `/auth/logout-all`.

use axum::body::Bytes;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::StatusCode;
use contract::problem::Problem;
use runtime::problem::ApiError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::caller::Caller;
use super::{answer_as_problem, unavailable};
use crate::sessions::EndReason;
use crate::state::AppState;
use crate::tokens::refresh::RefreshToken;

#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// The body, where the access token has expired.
#[derive(Default, Deserialize, JsonSchema)]
#[schemars(rename = "LogOut")]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    refresh_token: Option<String>,
}

/// 204 once the session is over. Open to whoever has its access token or, when that has expired, its refresh token
/// (`{"refreshToken"}`).
pub(super) async fn logout(State(state): State<AppState>, request: Request) -> Result<StatusCode, ApiError> {
    let (mut parts, body) = request.into_parts();
    let refused = match Caller::from_request_parts(&mut parts, &state).await {
        Ok(Caller(session)) => {
            state.sessions.end(&session, EndReason::LoggedOut).await.map_err(RouteError::from)?;
            return Ok(StatusCode::NO_CONTENT);
        }
        Err(refused) => refused,
    };
    let Some(token) = refresh_token(body).await else { return Err(refused) };
    if let Some(session) = state.sessions.of_token(&token).await.map_err(RouteError::from)? {
        state.sessions.end(&session, EndReason::LoggedOut).await.map_err(RouteError::from)?;
    }
    // A session that is over, or unknown, is logged out as well.
    Ok(StatusCode::NO_CONTENT)
}

/// 204 once all sessions of the caller are over, this one included.
pub(super) async fn logout_all(
    State(state): State<AppState>,
    Caller(session): Caller,
) -> Result<StatusCode, RouteError> {
    state.sessions.end_all(session.user, EndReason::LoggedOutEverywhere).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn refresh_token(body: axum::body::Body) -> Option<RefreshToken> {
    const ROOM_ENOUGH: usize = 4096;
    let body: Bytes = axum::body::to_bytes(body, ROOM_ENOUGH).await.ok()?;
    let body: Body = serde_json::from_slice(&body).ok()?;
    body.refresh_token?.parse().ok()
}

impl From<RouteError> for Problem {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Database(_) => unavailable(),
        }
    }
}

answer_as_problem!(RouteError);
