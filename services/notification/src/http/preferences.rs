//! `/notification-preferences`. Each user sees and changes their own alone.

use axum::extract::State;
use contract::notification::NotificationPreferences;
use runtime::{extract::Json, identity::Identity, problem::ApiResult};

use super::error::RouteError;
use crate::{preferences, state::AppState};

/// The caller's preferences; the usual ones of who has said nothing.
pub(super) async fn show(
    State(state): State<AppState>,
    identity: Identity,
) -> ApiResult<Json<NotificationPreferences>> {
    Ok(Json(state.preferences.of(identity.user_id).await.map_err(RouteError::from)?))
}

/// Puts other preferences in the place of the caller's, and answers them.
pub(super) async fn set(
    State(state): State<AppState>,
    identity: Identity,
    Json(preferences): Json<NotificationPreferences>,
) -> ApiResult<Json<NotificationPreferences>> {
    let faults = preferences::faults(&preferences);
    if !faults.is_empty() {
        return Err(RouteError::Invalid(faults).into());
    }
    state.preferences.set(identity.user_id, &preferences).await.map_err(RouteError::from)?;
    Ok(Json(preferences))
}
