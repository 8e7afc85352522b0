//! `POST /media`.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, Multipart, Request, State, multipart::MultipartError},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::{id::UserId, media::Media, problem::Problem};
use futures::StreamExt;
use runtime::{
    extract::Json,
    idempotency::IdempotencyKey,
    identity::Identity,
    problem::{ApiError, ApiResult},
};
use tokio::{sync::oneshot, time::timeout};
use tracing::Instrument;

use super::{FORM_ALLOWANCE, error::too_large, paced::Paced};
use crate::{
    file::{File, UploadKey},
    state::AppState,
    upload::{Remains, UploadError, Uploads},
};

/// The field of the form that is the file.
pub(super) const FIELD: &str = "file";

/// How long the rest of a refused body is still read, so that the client gets to read the answer instead of a reset connection.
const LINGER: Duration = Duration::from_secs(5);

/// Takes a file in: 201 with its metadata. For every user.
pub(super) async fn upload(
    State(state): State<AppState>,
    identity: ApiResult<Identity>,
    request: Request,
) -> ApiResult<Response> {
    let (identity, key) = match admitted(identity, request.headers(), state.uploads.limit()) {
        Ok(admitted) => admitted,
        Err(refusal) => {
            state.shutdown.spawn(linger(request.into_body()));
            return Err(refusal);
        }
    };
    let form = Multipart::from_request(request.map(Paced::body), &state).await.map_err(|_| not_a_form())?;
    let file = taken_in(state, identity.user_id, key, form).await?;
    let location = format!("/api/v1/media/{}", file.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(Media::from(file))).into_response())
}

/// What can be told before any of the body is read.
fn admitted(
    identity: ApiResult<Identity>,
    headers: &HeaderMap,
    limit: u64,
) -> ApiResult<(Identity, Option<UploadKey>)> {
    let identity = identity?;
    let key = IdempotencyKey::of(headers)?;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit.saturating_add(FORM_ALLOWANCE)) {
        return Err(too_large(limit).into());
    }
    let kind = text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    if !(kind.starts_with("multipart/form-data") && kind.contains("boundary=")) {
        return Err(not_a_form().into());
    }
    Ok((identity, key.as_ref().map(UploadKey::from)))
}

fn not_a_form() -> Problem {
    Problem::malformed_request(format!(
        "Send a form of type multipart/form-data, with its boundary, and the file in its field `{FIELD}`."
    ))
}

/// Runs the upload in a task of its own: it cleans up after itself even when the client, and with it the request, is gone.
async fn taken_in(
    AppState { uploads, shutdown, .. }: AppState,
    owner: UserId,
    key: Option<UploadKey>,
    mut form: Multipart,
) -> ApiResult<File> {
    let (answer, outcome) = oneshot::channel();
    let task = async move {
        match receive(&uploads, owner, key, &mut form).await {
            Ok(file) => {
                // The file stays even if nobody hears of it: its owner may have lost the connection at the last moment.
                let _ = answer.send(Ok(file));
            }
            Err((error, remains)) => {
                tracing::debug!(%error, "upload failed");
                let _ = answer.send(Err(error));
                tokio::join!(linger_in(form), clean_up(&uploads, remains));
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
    key: Option<UploadKey>,
    form: &mut Multipart,
) -> Result<File, (UploadError, Option<Remains>)> {
    let before = |error: MultipartError| (UploadError::from(error), None);
    while let Some(field) = form.next_field().await.map_err(before)? {
        if field.name() == Some(FIELD) {
            return uploads.receive(owner, key, field).await;
        }
    }
    Err((UploadError::NoFile, None))
}

/// Reads the rest of a body, and of a form, that is not wanted.
async fn linger(body: Body) {
    let mut body = body.into_data_stream();
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    // Whoever sends on for longer has to live with the reset.
    let _ = timeout(LINGER, rest).await;
}

async fn linger_in(mut form: Multipart) {
    let rest = async {
        while let Ok(Some(mut field)) = form.next_field().await {
            while let Ok(Some(_)) = field.chunk().await {}
        }
    };
    let _ = timeout(LINGER, rest).await;
}

async fn clean_up(uploads: &Uploads, remains: Option<Remains>) {
    if let Some(remains) = remains
        && let Err(error) = uploads.remove(remains).await
    {
        tracing::warn!(%error, "an upload that failed could not be cleaned up; its record stays pending");
    }
}
