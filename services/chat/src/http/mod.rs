//! REST under `/api/v1`. Every route needs a valid access token, and answers 404 for a conversation that the caller is not in.

mod conversations;
mod members;
mod messages;
mod reactions;
mod search;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Extension, Router};
use contract::page::InvalidCursor;
use contract::problem::Problem;
use runtime::idempotency::{self, Idempotency};
use runtime::openapi::{self, Api};
use runtime::problem::ApiError;
use serde_json::Value;

use crate::messages::draft::LONGEST_NONCE;
use crate::state::AppState;

/// Larger than the longest message, escapes included.
const LARGEST_BODY: usize = 128 * 1024;

// A key can be a message's nonce.
const _: () = assert!(idempotency::LONGEST_KEY <= LONGEST_NONCE);

const TITLE: &str = "ChatPlatform: conversations and messages";

/// All routes; `idempotency` is where answers are kept of what is to be done once.
pub fn router(state: AppState, idempotency: Idempotency) -> Router {
    let (routes, document) = api().finish(TITLE, env!("CARGO_PKG_VERSION"));
    routes
        .route_layer(middleware::from_fn_with_state(state.clone(), remember_name))
        .merge(openapi::route(document))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(Extension(idempotency))
        .with_state(state)
}

/// What describes the routes, as an `OpenAPI` 3.1 document. The service itself answers it at `/openapi.json`.
#[must_use]
pub fn openapi() -> Value {
    api().finish(TITLE, env!("CARGO_PKG_VERSION")).1
}

fn api() -> Api<AppState> {
    let api = messages::routes(members::routes(conversations::routes(Api::new("chat"))));
    search::routes(reactions::routes(api))
}

/// Whoever asks for something can be mentioned from then on.
async fn remember_name(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if let Ok(identity) = state.verifier.verify_headers(request.headers()) {
        state.names.saw(&identity).await;
    }
    next.run(request).await
}

fn bad_cursor(_: InvalidCursor) -> ApiError {
    Problem::validation_failed().error("cursor", "is not a cursor of this list").into()
}
