//! `GET /.well-known/jwks.json`: the public keys of access tokens. Open to everybody.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};

use crate::state::AppState;
use crate::tokens::access::JwkSet;

/// A new key is published longer than this before it signs, so caches never lack one.
const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// 200 with the JWK Set.
pub(super) async fn jwks(State(state): State<AppState>) -> ([(HeaderName, HeaderValue); 1], axum::Json<JwkSet>) {
    ([(header::CACHE_CONTROL, CACHED)], axum::Json(state.signer.jwks()))
}
