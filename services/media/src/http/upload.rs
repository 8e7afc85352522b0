//! `POST /media`.

use std::time::Duration;

use axum::{
    extract::{FromRequest, Multipart, Request, State, multipart::MultipartError},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::{id::UserId, media::Media, problem::Problem};
use runtime::{
    extract::Json,
    identity::Identity,
    problem::{ApiError, ApiResult},
};
use tokio::{sync::oneshot, time::timeout};
use tracing::Instrument;

use super::{FORM_ALLOWANCE, error::too_large, paced::Paced};
use crate::{
    file::File,
    state::AppState,
    upload::{Remains, UploadError, Uploads},
};

/// The field of the form that is the file.
const FIELD: &str = "file";

/// How long the rest of a refused body is still read, so that the client gets to read the answer instead of a reset connection.
const LINGER: Duration = Duration::from_secs(5);

/// Takes a file in: 201 with its metadata. For every user.
pub(super) async fn upload(
    State(state): State<AppState>,
    identity: Identity,
    headers: HeaderMap,
    request: Request,
) -> ApiResult<Response> {
    let limit = state.uploads.limit();
    if content_length(&headers).is_some_and(|length| length > limit.saturating_add(FORM_ALLOWANCE)) {
        return Err(too_large(limit).into());
    }
    let form = Multipart::from_request(request.map(Paced::body), &state).await.map_err(|rejection| {
        ApiError::from(Problem::malformed_request(format!(
            "Send a form of type multipart/form-data with the file in its field `{FIELD}`. {}.",
            rejection.body_text()
        )))
    })?;
    let file = taken_in(state, identity.user_id, form).await?;
    let location = format!("/api/v1/media/{}", file.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(Media::from(file))).into_response())
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Runs the upload in a task of its own: it cleans up after itself even when the client, and with it the request, is gone.
async fn taken_in(AppState { uploads, shutdown, .. }: AppState, owner: UserId, mut form: Multipart) -> ApiResult<File> {
    let (answer, outcome) = oneshot::channel();
    let task = async move {
        match receive(&uploads, owner, &mut form).await {
            Ok(file) => {
                // The file stays even if nobody hears of it: its owner may have lost the connection at the last moment.
                let _ = answer.send(Ok(file));
            }
            Err((error, remains)) => {
                tracing::debug!(%error, "upload failed");
                let _ = answer.send(Err(error));
                tokio::join!(linger(form), clean_up(&uploads, remains));
            }
        }
    };
    shutdown.spawn(task.in_current_span());
    match outcome.await {
        Ok(outcome) => Ok(outcome?),
        Err(lost) => Err(ApiError::internal(lost)),
    }
}

async fn receive(
    uploads: &Uploads,
    owner: UserId,
    form: &mut Multipart,
) -> Result<File, (UploadError, Option<Remains>)> {
    let before = |error: MultipartError| (UploadError::from(error), None);
    while let Some(field) = form.next_field().await.map_err(before)? {
        if field.name() == Some(FIELD) {
            return uploads.receive(owner, field).await;
        }
    }
    Err((UploadError::NoFile, None))
}

async fn linger(mut form: Multipart) {
    let rest = async {
        while let Ok(Some(mut field)) = form.next_field().await {
            while let Ok(Some(_)) = field.chunk().await {}
        }
    };
    // Whoever sends on for longer has to live with the reset.
    let _ = timeout(LINGER, rest).await;
}

async fn clean_up(uploads: &Uploads, remains: Option<Remains>) {
    if let Some(remains) = remains
        && let Err(error) = uploads.remove(remains).await
    {
        tracing::warn!(%error, "an upload that failed could not be cleaned up; its record stays pending");
    }
}
