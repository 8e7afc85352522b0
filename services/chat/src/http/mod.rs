//! REST under `/api/v1`. Every route needs a valid access token, and answers 404 for a conversation that the caller is not in.

mod conversations;
mod members;
mod messages;
mod reactions;
mod search;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::Response;
use contract::page::InvalidCursor;
use contract::problem::Problem;
use runtime::openapi::{self, Api};
use runtime::problem::ApiError;
use serde_json::Value;

use crate::messages::draft::LONGEST_NONCE;
use crate::state::AppState;

/// Larger than the longest message, escapes included.
const LARGEST_BODY: usize = 128 * 1024;

const TITLE: &str = "ChatPlatform: conversations and messages";

/// All routes.
pub fn router(state: AppState) -> Router {
    let (routes, document) = api().finish(TITLE, env!("CARGO_PKG_VERSION"));
    routes
        .route_layer(middleware::from_fn_with_state(state.clone(), remember_name))
        .merge(openapi::route(document))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
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

/// The `Idempotency-Key` of a request, if it has one: 1 to 64 visible characters.
#[derive(Clone, Debug)]
struct IdempotencyKey(Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| (1..=LONGEST_NONCE).contains(&key.len()));
        let Some(key) = key else {
            let message = format!("must be 1 to {LONGEST_NONCE} visible ASCII characters");
            return Err(Problem::validation_failed().error("Idempotency-Key", message).into());
        };
        Ok(Self(Some(key.to_owned())))
    }
}

fn bad_cursor(_: InvalidCursor) -> ApiError {
    Problem::validation_failed().error("cursor", "is not a cursor of this list").into()
}
