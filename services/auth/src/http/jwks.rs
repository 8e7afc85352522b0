//! `GET /.well-known/jwks.json`: the public keys of access tokens. Open to everybody.

use axum::extract::State;
use axum::http::{HeaderName, header};
use contract::claims::PUBLISHED_KEYS_CACHED;

use crate::state::AppState;
use crate::tokens::access::JwkSet;

/// 200 with the JWK Set.
pub(super) async fn jwks(State(state): State<AppState>) -> ([(HeaderName, String); 1], axum::Json<JwkSet>) {
    let cached = format!("public, max-age={}", PUBLISHED_KEYS_CACHED.as_secs());
    ([(header::CACHE_CONTROL, cached)], axum::Json(state.signer.jwks()))
}
