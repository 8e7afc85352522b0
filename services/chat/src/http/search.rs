//! `/search/messages`.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use contract::id::{ConversationId, MessageId};
use contract::page::{Cursor, Page, PageQuery};
use runtime::extract::{Json, Query};
use runtime::identity::Identity;
use runtime::problem::ApiResult;
use serde::Deserialize;

use super::bad_cursor;
use crate::messages::MessageView;
use crate::state::AppState;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/search/messages", get(messages))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchQuery {
    #[serde(default)]
    q: String,
    conversation_id: Option<ConversationId>,
    cursor: Option<Cursor>,
    limit: Option<u32>,
}

/// Messages that hold every word of `q`, newest first, in the caller's conversations or in `conversationId` alone. Any user.
async fn messages(
    State(state): State<AppState>,
    me: Identity,
    Query(SearchQuery { q, conversation_id, cursor, limit }): Query<SearchQuery>,
) -> ApiResult<Json<Page<MessageView>>> {
    let page = PageQuery { cursor, limit };
    let limit = page.limit(20, 100);
    let before = page.position::<MessageId>().map_err(bad_cursor)?;
    let found = state.messages.search(me.user_id, &q, conversation_id, before, limit + 1).await?;
    Ok(Json(Page::from_one_more(found, limit, |last| last.message.id)))
}
