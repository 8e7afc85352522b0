//! The REST interface.

mod content;
mod error;
mod metadata;
mod paced;
mod upload;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};

use crate::state::AppState;

/// What a form may hold beside the bytes of the file: boundaries, headers and small fields.
pub(crate) const FORM_ALLOWANCE: u64 = 64 << 10;

/// The routes of the public listener.
pub fn router(state: AppState) -> Router {
    let form_limit = usize::try_from(state.uploads.limit().saturating_add(FORM_ALLOWANCE)).unwrap_or(usize::MAX);
    Router::new()
        .route("/api/v1/media", post(upload::upload).layer(DefaultBodyLimit::max(form_limit)))
        .route("/api/v1/media/{id}", get(metadata::read).delete(metadata::delete))
        .route("/api/v1/media/{id}/content", get(content::download))
        .with_state(state)
}
