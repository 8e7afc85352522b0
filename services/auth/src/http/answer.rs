//! What a log-in is answered with.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use contract::claims::ACCESS_TOKEN_LIFETIME;
use contract::user::LoggedIn;
use jiff::Timestamp;

use crate::accounts::Account;
use crate::tokens::access::Bearer;
use crate::tokens::refresh::RefreshToken;
use crate::tokens::signer::{SignError, Signer};

/// The tokens of a session, never to be kept by a cache (RFC 6749 section 5.1).
pub(super) struct Tokens(LoggedIn);

impl Tokens {
    /// A fresh access token for `account` beside `refresh_token`, both of the same session.
    pub(super) fn new(
        signer: &Signer,
        account: &Account,
        refresh_token: &RefreshToken,
        now: Timestamp,
    ) -> Result<Self, SignError> {
        let bearer = Bearer {
            user: account.id,
            name: &account.username.to_string(),
            roles: &account.roles,
            session: refresh_token.session(),
        };
        Ok(Self(LoggedIn {
            user: account.own(),
            access_token: signer.sign(bearer, now)?,
            refresh_token: refresh_token.to_string(),
            token_type: "Bearer".to_owned(),
            expires_in: ACCESS_TOKEN_LIFETIME.as_secs().unsigned_abs(),
        }))
    }
}

impl IntoResponse for Tokens {
    fn into_response(self) -> Response {
        (no_store(), axum::Json(self.0)).into_response()
    }
}

/// What an answer with a secret in it says to caches.
pub(super) fn no_store() -> [(HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}
