//! `/notifications...`. Each user sees and changes their own alone.

use axum::{extract::State, http::StatusCode};
use contract::{
    id::{ConversationId, NotificationId},
    notification::Notification,
    page::{Page, PageQuery},
};
use runtime::{
    extract::{Json, Path, Query},
    identity::Identity,
    problem::ApiResult,
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::RouteError;
use crate::state::AppState;

/// How many notifications a page has, unless asked, and at most.
const PAGE: (u32, u32) = (50, 100);

/// The caller's notifications, newest first.
pub(super) async fn list(
    State(state): State<AppState>,
    identity: Identity,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<Notification>>> {
    let after = query.position::<NotificationId>().map_err(RouteError::from)?;
    let limit = query.limit(PAGE.0, PAGE.1);
    let found = state.notifications.list(identity.user_id, after, limit + 1).await.map_err(RouteError::from)?;
    Ok(Json(Page::from_one_more(found, limit, |last| last.id)))
}

/// Marks one of the caller's notifications as read, and answers it.
pub(super) async fn read(
    State(state): State<AppState>,
    identity: Identity,
    Path(id): Path<NotificationId>,
) -> ApiResult<Json<Notification>> {
    let read = state.notifications.mark_read(id, identity.user_id, state.clock.now()).await;
    Ok(Json(read.map_err(RouteError::from)?.ok_or(RouteError::NoNotification)?))
}

/// `?conversationId=`
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Which {
    conversation_id: Option<ConversationId>,
}

/// Marks all of the caller's notifications as read, or those of the conversation that a client has just shown: 204.
pub(super) async fn read_all(
    State(state): State<AppState>,
    identity: Identity,
    Query(which): Query<Which>,
) -> ApiResult<StatusCode> {
    let done = state.notifications.mark_all_read(identity.user_id, which.conversation_id, state.clock.now()).await;
    done.map_err(RouteError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
