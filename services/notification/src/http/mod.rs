//! The REST interface.

mod error;
mod notifications;

use axum::{
    Router,
    routing::{get, post},
};

use crate::state::AppState;

/// The routes of the public listener.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/api/v1/notifications", get(notifications::list))
        .route("/api/v1/notifications/read-all", post(notifications::read_all))
        .route("/api/v1/notifications/{id}/read", post(notifications::read))
        .with_state(state)
}
