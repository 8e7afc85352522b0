//! The REST interface.

mod devices;
mod error;
mod notifications;
mod preferences;
mod routes;

use axum::Router;
use runtime::openapi;
use serde_json::Value;

use crate::state::AppState;

/// The routes of the public listener.
pub fn router(state: AppState) -> Router {
    let (router, document) = routes::api().finish(TITLE, env!("CARGO_PKG_VERSION"));
    router.merge(openapi::route(document)).with_state(state)
}

const TITLE: &str = "ChatPlatform: notifications and devices";

/// What describes the routes, as an `OpenAPI` 3.1 document. The service itself answers it at `/openapi.json`.
#[must_use]
pub fn openapi() -> Value {
    routes::api().finish(TITLE, env!("CARGO_PKG_VERSION")).1
}
