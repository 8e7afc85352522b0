//! The REST interface.

mod devices;
mod error;
mod notifications;
mod preferences;
mod routes;

use axum::{Extension, Router};
use runtime::{idempotency::Idempotency, openapi};
use serde_json::Value;

use crate::state::AppState;

/// The routes of the public listener; `idempotency` is where answers are kept of what is to be done once.
pub fn router(state: AppState, idempotency: Idempotency) -> Router {
    let (router, document) = routes::api().finish(TITLE, env!("CARGO_PKG_VERSION"));
    router.merge(openapi::route(document)).layer(Extension(idempotency)).with_state(state)
}

const TITLE: &str = "ChatPlatform: notifications and devices";

/// What describes the routes, as an `OpenAPI` 3.1 document. The service itself answers it at `/openapi.json`.
#[must_use]
pub fn openapi() -> Value {
    routes::api().finish(TITLE, env!("CARGO_PKG_VERSION")).1
}
