//! `/conversations/{id}/messages`, `/conversations/{id}/messages/{messageId}`, its `/thread`, and `/conversations/{id}/changes`.

use axum::extract::State;
use axum::http::StatusCode;
use contract::id::{ConversationId, MessageId};
use contract::message::{EditMessage, NewMessage};
use contract::page::{Cursor, Page, PageQuery};
use runtime::extract::{Json, Path, Query};
use runtime::idempotency::{IdempotencyKey, KeyReused};
use runtime::identity::Identity;
use runtime::openapi::refusals::{AWAY, FORBIDDEN, INVALID, NO_SESSION, NOT_FOUND};
use runtime::openapi::{Api, delete, get, patch, post};
use runtime::problem::ApiResult;
use schemars::JsonSchema;
use serde::Deserialize;

use super::bad_cursor;
use crate::messages::{Edit, MessageView};
use crate::state::AppState;

pub(super) fn routes(api: Api<AppState>) -> Api<AppState> {
    api.route(
        "/api/v1/conversations/{id}/messages",
        [
            get("Messages, newest first", history)
                .query::<PageQuery>()
                .answers::<Page<MessageView>>(StatusCode::OK)
                .problems([INVALID, NO_SESSION, NOT_FOUND, AWAY]),
            post("Send a message; the same nonce again answers the first one", send)
                .body::<NewMessage>()
                .answers::<MessageView>(StatusCode::CREATED)
                .idempotency_key()
                .problems([INVALID, NO_SESSION, NOT_FOUND, AWAY]),
        ],
    )
    .route(
        "/api/v1/conversations/{id}/messages/{messageId}",
        [
            get("A message", show).answers::<MessageView>(StatusCode::OK).problems([NO_SESSION, NOT_FOUND, AWAY]),
            patch("Give one's message another text", edit)
                .body::<EditMessage>()
                .answers::<MessageView>(StatusCode::OK)
                .problems([INVALID, NO_SESSION, FORBIDDEN, NOT_FOUND])
                .problem((StatusCode::CONFLICT, &["conflict", "too-many-edits"]))
                .problem(AWAY),
            delete("Delete a message", remove)
                .answers_nothing(StatusCode::NO_CONTENT)
                .problems([NO_SESSION, FORBIDDEN, NOT_FOUND, AWAY]),
        ],
    )
    .route(
        "/api/v1/conversations/{id}/messages/{messageId}/thread",
        [get("The answers in a thread, newest first", thread)
            .query::<PageQuery>()
            .answers::<Page<MessageView>>(StatusCode::OK)
            .problems([INVALID, NO_SESSION, NOT_FOUND, AWAY])],
    )
    .route(
        "/api/v1/conversations/{id}/changes",
        [get("Messages that changed after a number, oldest change first", changes)
            .query::<ChangesQuery>()
            .answers::<Page<MessageView>>(StatusCode::OK)
            .problems([INVALID, NO_SESSION, NOT_FOUND, AWAY])],
    )
}

/// Messages, newest first. Members.
async fn history(
    State(state): State<AppState>,
    me: Identity,
    Path(id): Path<ConversationId>,
    Query(page): Query<PageQuery>,
) -> ApiResult<Json<Page<MessageView>>> {
    let limit = page.limit(50, 200);
    let before = page.position::<u64>().map_err(bad_cursor)?;
    let found = state.messages.history(id, me.user_id, before, limit + 1).await?;
    Ok(Json(Page::from_one_more(found, limit, |last| last.message.seq)))
}

/// Sends a message. `Idempotency-Key` serves as the nonce of a message that has none, and then belongs to that message alone. Members.
async fn send(
    State(state): State<AppState>,
    me: Identity,
    Path(id): Path<ConversationId>,
    key: Option<IdempotencyKey>,
    Json(mut message): Json<NewMessage>,
) -> ApiResult<(StatusCode, Json<MessageView>)> {
    let Some(key) = key.filter(|_| message.nonce.is_none()) else {
        return Ok((StatusCode::CREATED, Json(state.messages.send(id, me.user_id, message).await?)));
    };
    message.nonce = Some(key.into());
    let sent = state.messages.send(id, me.user_id, message.clone()).await?;
    if is_another(&message, &sent) { Err(KeyReused.into()) } else { Ok((StatusCode::CREATED, Json(sent))) }
}

/// Whether what is stored under a nonce is another message than this one. What a text was before its edit is not known any more.
fn is_another(message: &NewMessage, sent: &MessageView) -> bool {
    let sent = &sent.message;
    let as_sent = sent.edited_at.is_none() && sent.deleted_at.is_none();
    sent.reply_to != message.reply_to || sent.media_ids != message.media_ids || (as_sent && sent.text != message.text)
}

/// One message. Members.
async fn show(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message)): Path<(ConversationId, MessageId)>,
) -> ApiResult<Json<MessageView>> {
    Ok(Json(state.messages.get(id, me.user_id, message).await?))
}

/// The answers in the thread that a message begins or belongs to, newest first. Members.
async fn thread(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message)): Path<(ConversationId, MessageId)>,
    Query(page): Query<PageQuery>,
) -> ApiResult<Json<Page<MessageView>>> {
    let limit = page.limit(50, 200);
    let before = page.position::<u64>().map_err(bad_cursor)?;
    let found = state.messages.thread(id, me.user_id, message, before, limit + 1).await?;
    Ok(Json(Page::from_one_more(found, limit, |last| last.message.seq)))
}

/// Gives a message another text. Its sender.
async fn edit(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message)): Path<(ConversationId, MessageId)>,
    Json(EditMessage { text }): Json<EditMessage>,
) -> ApiResult<Json<MessageView>> {
    Ok(Json(state.messages.edit(id, message, me.user_id, Edit::Text(text)).await?))
}

/// Deletes a message: what is left of it says so. Its sender, the conversation's admins and owner.
async fn remove(
    State(state): State<AppState>,
    me: Identity,
    Path((id, message)): Path<(ConversationId, MessageId)>,
) -> ApiResult<StatusCode> {
    state.messages.edit(id, message, me.user_id, Edit::Delete).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, JsonSchema)]
struct ChangesQuery {
    #[serde(default)]
    after: u64,
    cursor: Option<Cursor>,
    limit: Option<u32>,
}

/// Every message whose last change has a number above `after`, oldest change first. Members.
async fn changes(
    State(state): State<AppState>,
    me: Identity,
    Path(id): Path<ConversationId>,
    Query(ChangesQuery { after, cursor, limit }): Query<ChangesQuery>,
) -> ApiResult<Json<Page<MessageView>>> {
    let page = PageQuery { cursor, limit };
    let limit = page.limit(200, 500);
    let after = page.position::<u64>().map_err(bad_cursor)?.unwrap_or(after);
    let found = state.messages.changes(id, me.user_id, after, limit + 1).await?;
    Ok(Json(Page::from_one_more(found, limit, |last| last.message.change_seq)))
}
