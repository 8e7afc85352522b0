//! `GET` and `DELETE /media/{id}`.

use axum::{extract::State, http::StatusCode};
use contract::{id::MediaId, media::Media};
use runtime::{
    extract::{Json, Path},
    identity::Identity,
    problem::ApiResult,
};

use super::error::NoSuchFile;
use crate::state::AppState;

/// What is known of a file. For its owner.
pub(super) async fn read(
    State(state): State<AppState>,
    identity: Identity,
    Path(id): Path<MediaId>,
) -> ApiResult<Json<Media>> {
    let file = state.files.find(id, identity.user_id).await?.ok_or(NoSuchFile)?;
    Ok(Json(file.into()))
}

/// Removes a file: 204. For its owner. Where the object store fails the file is gone for readers already, and the call can be
/// repeated until the object is gone too.
pub(super) async fn delete(
    State(state): State<AppState>,
    identity: Identity,
    Path(id): Path<MediaId>,
) -> ApiResult<StatusCode> {
    let key = state.files.begin_deletion(id, identity.user_id).await?.ok_or(NoSuchFile)?;
    state.objects.delete(key.as_str()).await?;
    state.files.forget(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
