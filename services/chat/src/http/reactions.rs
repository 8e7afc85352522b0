//! `.../messages/{messageId}/reactions/{emoji}`, `.../messages/{messageId}/pin` and `/conversations/{id}/pins`.

use axum::extract::State;
use axum::http::StatusCode;
use contract::id::{ConversationId, MessageId};
use contract::page::{Page, PageQuery};
use runtime::extract::{Json, Path, Query};
use runtime::identity::Identity;
use runtime::openapi::refusals::{AWAY, CONFLICT, FORBIDDEN, INVALID, NO_SESSION, NOT_FOUND};
use runtime::openapi::{Api, delete, get, put};
use runtime::problem::ApiResult;

use super::bad_cursor;
use crate::messages::{Edit, MessageView};
use crate::state::AppState;
use crate::store::PinPlace;

pub(super) fn routes(api: Api<AppState>) -> Api<AppState> {
    api.route(
        "/api/v1/conversations/{id}/messages/{messageId}/reactions/{emoji}",
        [
            put("React to a message", react)
                .answers::<MessageView>(StatusCode::OK)
                .problems([INVALID, NO_SESSION, NOT_FOUND])
                .problem((StatusCode::CONFLICT, &["conflict", "too-many-reactions"]))
                .problem(AWAY),
            delete("Take one's reaction away", unreact)
                .answers_nothing(StatusCode::NO_CONTENT)
                .problems([INVALID, NO_SESSION, NOT_FOUND, CONFLICT, AWAY]),
        ],
    )
    .route(
        "/api/v1/conversations/{id}/messages/{messageId}/pin",
        [
            put("Pin a message", pin)
                .answers::<MessageView>(StatusCode::OK)
                .problems([NO_SESSION, FORBIDDEN, NOT_FOUND, CONFLICT, AWAY]),
            delete("Unpin a message", unpin)
                .answers_nothing(StatusCode::NO_CONTENT)
                .problems([NO_SESSION, FORBIDDEN, NOT_FOUND, CONFLICT, AWAY]),
        ],
    )
    .route(
        "/api/v1/conversations/{id}/pins",
        [get("Pinned messages, those last pinned first", pins)
            .query::<PageQuery>()
            .answers::<Page<MessageView>>(StatusCode::OK)
            .problems([INVALID, NO_SESSION, NOT_FOUND, AWAY])],
    )
}

/// Adds the caller's reaction. Members.
async fn react(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message, emoji)): Path<(ConversationId, MessageId, String)>,
) -> ApiResult<Json<MessageView>> {
    Ok(Json(state.messages.edit(id, message, me.user_id, Edit::React(emoji)).await?))
}

/// Takes the caller's reaction away. Members.
async fn unreact(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message, emoji)): Path<(ConversationId, MessageId, String)>,
) -> ApiResult<StatusCode> {
    state.messages.edit(id, message, me.user_id, Edit::Unreact(emoji)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pins a message. Members.
async fn pin(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message)): Path<(ConversationId, MessageId)>,
) -> ApiResult<Json<MessageView>> {
    Ok(Json(state.messages.edit(id, message, me.user_id, Edit::Pin(true)).await?))
}

/// Unpins it. Members.
async fn unpin(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message)): Path<(ConversationId, MessageId)>,
) -> ApiResult<StatusCode> {
    state.messages.edit(id, message, me.user_id, Edit::Pin(false)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pinned messages, those last pinned first. Members.
async fn pins(
    State(state): State<AppState>,
    me: Identity,
    Path(id): Path<ConversationId>,
    Query(page): Query<PageQuery>,
) -> ApiResult<Json<Page<MessageView>>> {
    let limit = page.limit(50, 200);
    let behind = page.position::<PinPlace>().map_err(bad_cursor)?;
    let found = state.messages.pins(id, me.user_id, behind, limit + 1).await?;
    Ok(Json(Page::from_one_more(found, limit, |last| last.pinned_at.map(|at| PinPlace { at, id: last.message.id }))))
}
