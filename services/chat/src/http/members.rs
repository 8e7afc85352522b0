//! `/conversations/{id}/members` and `/conversations/{id}/members/{userId}`.

use axum::extract::State;
use axum::http::StatusCode;
use contract::conversation::{Conversation, MemberRole};
use contract::id::{ConversationId, UserId};
use contract::problem::Problem;
use runtime::extract::{Json, Path};
use runtime::identity::Identity;
use runtime::openapi::refusals::{AWAY, FORBIDDEN, INVALID, NO_SESSION, NOT_FOUND};
use runtime::openapi::{Api, delete, patch, post};
use runtime::problem::ApiResult;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::conversations::Revision;
use crate::state::AppState;

pub(super) fn routes(api: Api<AppState>) -> Api<AppState> {
    api.route(
        "/api/v1/conversations/{id}/members",
        [post("Add people to a group", add)
            .body::<NewMembers>()
            .answers::<Conversation>(StatusCode::OK)
            .answered_once()
            .problems([INVALID, NO_SESSION, FORBIDDEN, NOT_FOUND])
            .problem((StatusCode::CONFLICT, &["group-full"]))
            .problem(AWAY)],
    )
    .route(
        "/api/v1/conversations/{id}/members/{userId}",
        [
            patch("Give a member another role", promote)
                .body::<NewRole>()
                .answers::<Conversation>(StatusCode::OK)
                .problems([INVALID, NO_SESSION, FORBIDDEN, NOT_FOUND, AWAY]),
            delete("Remove a member, or leave", remove)
                .answers_nothing(StatusCode::NO_CONTENT)
                .problems([INVALID, NO_SESSION, FORBIDDEN, NOT_FOUND, AWAY]),
        ],
    )
}

/// `userIds`, or one `userId`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NewMembers {
    #[serde(default)]
    user_ids: Vec<UserId>,
    user_id: Option<UserId>,
    #[serde(default = "member")]
    role: MemberRole,
}

fn member() -> MemberRole {
    MemberRole::Member
}

/// Adds `userIds`, or one `userId`, to a group. Its admins and owner; an admin is added by the owner alone.
async fn add(
    State(state): State<AppState>,
    me: Identity,
    Path(id): Path<ConversationId>,
    Json(new): Json<NewMembers>,
) -> ApiResult<Json<Conversation>> {
    let users: Vec<UserId> = new.user_ids.into_iter().chain(new.user_id).collect();
    if users.is_empty() {
        return Err(Problem::validation_failed().error("userIds", "must name at least one user").into());
    }
    Ok(Json(state.conversations.revise(id, me.user_id, Revision::Add(users, new.role)).await?))
}

#[derive(Deserialize, JsonSchema)]
struct NewRole {
    role: MemberRole,
}

/// Gives a member another role. The owner, who becomes an admin by making another the owner.
async fn promote(
    State(state): State<AppState>,
    me: Identity,
    Path((id, user)): Path<(ConversationId, UserId)>,
    Json(NewRole { role }): Json<NewRole>,
) -> ApiResult<Json<Conversation>> {
    Ok(Json(state.conversations.revise(id, me.user_id, Revision::Promote(user, role)).await?))
}

/// Removes a member. Themselves, or an admin or owner of a higher role.
async fn remove(
    State(state): State<AppState>,
    me: Identity,
    Path((id, user)): Path<(ConversationId, UserId)>,
) -> ApiResult<StatusCode> {
    state.conversations.revise(id, me.user_id, Revision::Remove(user)).await?;
    Ok(StatusCode::NO_CONTENT)
}
