//! The REST interface.

mod content;
mod error;
mod metadata;
mod paced;
mod upload;

use axum::{Router, extract::DefaultBodyLimit, http::StatusCode};
use contract::media::Media;
use runtime::openapi::{
    self, Api, delete, get, post,
    refusals::{AWAY, CONFLICT, INVALID, KEY_IN_USE, NO_SESSION, NOT_FOUND},
};
use serde_json::Value;

use crate::state::AppState;

/// What a form may hold beside the bytes of the file: boundaries, headers and small fields.
pub(crate) const FORM_ALLOWANCE: u64 = 64 << 10;

/// The routes of the public listener.
pub fn router(state: AppState) -> Router {
    let form_limit = usize::try_from(state.uploads.limit().saturating_add(FORM_ALLOWANCE)).unwrap_or(usize::MAX);
    let (routes, document) = api().finish(TITLE, env!("CARGO_PKG_VERSION"));
    routes.merge(openapi::route(document)).layer(DefaultBodyLimit::max(form_limit)).with_state(state)
}

/// What describes the routes, as an `OpenAPI` 3.1 document. The service itself answers it at `/openapi.json`.
#[must_use]
pub fn openapi() -> Value {
    api().finish(TITLE, env!("CARGO_PKG_VERSION")).1
}

const TITLE: &str = "ChatPlatform: files";

fn api() -> Api<AppState> {
    Api::new("media")
        .route(
            "/api/v1/media",
            [post("Upload a file", upload::upload)
                .file(upload::FIELD)
                .answers::<Media>(StatusCode::CREATED)
                .idempotency_key()
                .problems([INVALID, NO_SESSION])
                .problem((StatusCode::REQUEST_TIMEOUT, &["request-timeout"]))
                .problems([CONFLICT, KEY_IN_USE])
                .problem((StatusCode::PAYLOAD_TOO_LARGE, &["payload-too-large"]))
                .problem((StatusCode::UNSUPPORTED_MEDIA_TYPE, &["unsupported-media-type"]))
                .problem(AWAY)],
        )
        .route(
            "/api/v1/media/{id}",
            [
                get("What is known of a file", metadata::read)
                    .answers::<Media>(StatusCode::OK)
                    .problems([NO_SESSION, NOT_FOUND, AWAY]),
                delete("Delete a file", metadata::delete)
                    .answers_nothing(StatusCode::NO_CONTENT)
                    .problems([NO_SESSION, NOT_FOUND, AWAY]),
            ],
        )
        .route(
            "/api/v1/media/{id}/content",
            [get("The bytes of a file, whole or in part", content::download)
                .answers_bytes(StatusCode::OK)
                .answers_bytes(StatusCode::PARTIAL_CONTENT)
                .answers_nothing(StatusCode::NOT_MODIFIED)
                .problems([NO_SESSION, NOT_FOUND])
                .problem((StatusCode::RANGE_NOT_SATISFIABLE, &["range-not-satisfiable"]))
                .problem(AWAY)],
        )
}
