//! `Idempotency-Key` on POST (draft-ietf-httpapi-idempotency-key-header): who did not hear an answer sends the request again, and it is
//! done once.
//!
//! A key is its caller's own, for one route, and is kept for 24 hours. The first request with it is carried out; the same one again gets
//! the answer of then. Another body under the same key is refused (422), and so is a request while the first one is under way (409).
//! What was refused has done nothing: its key is free again.
//!
//! An operation heeds keys in one of two ways. [`Operation::answered_once`](crate::openapi::Operation::answered_once) keeps the answer
//! in the service's database, which suits answers that hold neither secrets nor what people write. Others know by something of their own
//! that they have been done, take the key by [`IdempotencyKey`], and say so by
//! [`Operation::idempotency_key`](crate::openapi::Operation::idempotency_key).

mod ledger;

use axum::{
    Extension,
    extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use contract::problem::Problem;
use http::{HeaderMap, StatusCode, header, request::Parts};
use sha2::{Digest, Sha256};

pub use self::ledger::MIGRATION;
use self::ledger::{Answer, Claim, Ledger, Ticket};
use crate::{clock::Clock, connect::Database, extract::unreadable, identity::TokenVerifier, problem::ApiError, trace};

/// The longest key, in characters.
pub const LONGEST_KEY: usize = 64;

/// The header's name.
pub const HEADER: &str = "idempotency-key";

/// Answers are small; one that is not cannot be kept.
const LARGEST_ANSWER: usize = 256 << 10;

/// What a client recognises a request by: 1 to 64 visible ASCII characters, as they stand in the header or, as in the draft, in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// Why a key is none.
#[derive(Debug, thiserror::Error)]
#[error("the Idempotency-Key is not well-formed")]
pub struct InvalidKey;

/// A key came with another request than the first time.
#[derive(Debug, thiserror::Error)]
#[error("the Idempotency-Key came with another request before")]
pub struct KeyReused;

/// The first request with a key is still under way.
#[derive(Debug, thiserror::Error)]
#[error("a request with this Idempotency-Key is under way")]
pub struct KeyInUse;

impl IdempotencyKey {
    /// The key in these headers, if there is one.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, InvalidKey> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().map_err(|_| InvalidKey)?.trim();
        let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let proper = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if values.next().is_some() || !proper { Err(InvalidKey) } else { Ok(Some(Self(key.to_owned()))) }
    }

    /// The key itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, ApiError> {
        Ok(Self::of(&parts.headers)?)
    }
}

impl From<InvalidKey> for Problem {
    fn from(_: InvalidKey) -> Self {
        let message = format!("must be one header of 1 to {LONGEST_KEY} visible ASCII characters");
        Self::validation_failed().error("Idempotency-Key", message)
    }
}

impl From<KeyReused> for Problem {
    fn from(_: KeyReused) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The Idempotency-Key was used before")
            .detail("It came with another request within the last 24 hours. Send this one under a key of its own.")
    }
}

impl From<KeyInUse> for Problem {
    fn from(_: KeyInUse) -> Self {
        Self::new(StatusCode::CONFLICT, "idempotency-key-in-use", "The request is under way")
            .detail("One with the same Idempotency-Key has not been answered yet. Send it again in a moment.")
    }
}

/// What the operations of a service need to be answered once. Its router has it as an [`Extension`].
#[derive(Clone, Debug)]
pub struct Idempotency {
    ledger: Ledger,
    tokens: TokenVerifier,
}

impl Idempotency {
    /// Keys of who has an access token, kept in `database`, which has been through [`MIGRATION`].
    #[must_use]
    pub fn new(database: &Database, tokens: TokenVerifier, clock: Clock) -> Self {
        Self { ledger: Ledger::new(database, clock), tokens }
    }
}

/// Middleware of one operation: carries a request with a key out once, and answers it as often as it comes.
pub(crate) async fn answer_once(request: Request, next: Next) -> Response {
    match keyed(request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn keyed(request: Request, next: Next) -> Result<Response, ApiError> {
    let Some(key) = IdempotencyKey::of(request.headers())? else { return Ok(next.run(request).await) };
    let (mut parts, body) = request.into_parts();
    let kept = <Extension<Idempotency> as FromRequestParts<()>>::from_request_parts(&mut parts, &()).await;
    let Extension(Idempotency { ledger, tokens }) = kept.map_err(ApiError::internal)?;
    // Who has no good token is refused by the operation itself.
    let Ok(caller) = tokens.verify_headers(&parts.headers) else {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let whole = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await;
    let body = whole.map_err(|rejection| unreadable(&rejection))?;
    let place = digest(&[caller.user_id.to_string().as_bytes(), parts.uri.path().as_bytes(), key.as_str().as_bytes()]);
    let query = parts.uri.query().unwrap_or_default();
    match ledger.claim(place, digest(&[query.as_bytes(), &body])).await.map_err(ApiError::unavailable)? {
        Claim::Fresh(ticket) => {
            let request = Request::from_parts(parts, body.into());
            let work = async move { settle(&ledger, ticket, next.run(request).await).await };
            // A task of its own: what has begun is brought to its end, and its answer kept, even if the caller is gone.
            let work = match trace::current() {
                Some(parent) => tokio::spawn(trace::scope(parent, "keyed request", work)),
                None => tokio::spawn(work),
            };
            work.await.map_err(ApiError::internal)?
        }
        Claim::Answered(answer) => Ok(answer.into_response()),
        Claim::UnderWay => Err(ApiError::from(KeyInUse).header(header::RETRY_AFTER, 1)),
        Claim::Other => Err(KeyReused.into()),
    }
}

/// Keeps the answer of what was done; the key of what was refused is free again.
async fn settle(ledger: &Ledger, ticket: Ticket, response: Response) -> Result<Response, ApiError> {
    if !response.status().is_success() {
        if let Err(error) = ledger.release(ticket).await {
            tracing::warn!(%error, "an idempotency key stays claimed until its claim runs out");
        }
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, LARGEST_ANSWER).await.map_err(ApiError::internal)?;
    let answer = Answer::of(&parts, body.clone());
    if let Err(error) = ledger.keep(ticket, &answer).await {
        tracing::warn!(%error, "an answer could not be kept: the same request is carried out again once its claim has run out");
    }
    Ok(Response::from_parts(parts, body.into()))
}

/// SHA-256 of parts of which none can be taken for the end of another.
fn digest(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    BASE64_URL_SAFE_NO_PAD.encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(values: &[&str]) -> Result<Option<String>, InvalidKey> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        IdempotencyKey::of(&headers).map(|key| key.map(String::from))
    }

    #[test]
    fn a_key_stands_with_or_without_quotes() {
        let key = Some("8e03978e-40d5".to_owned());
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&["8e03978e-40d5"]).unwrap(), key);
        assert_eq!(of(&["\"8e03978e-40d5\""]).unwrap(), key);
    }

    #[test]
    fn a_key_is_one_and_neither_empty_nor_long_nor_with_gaps() {
        for none in [&[""][..], &["\"\""], &["a b"], &["a", "a"], &[&"x".repeat(LONGEST_KEY + 1)]] {
            assert!(of(none).is_err(), "{none:?}");
        }
        assert!(of(&[&"x".repeat(LONGEST_KEY)]).is_ok());
    }

    #[test]
    fn no_two_requests_share_a_digest_by_where_one_part_ends() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[b"ab", b"c"]), digest(&[b"ab", b"c"]));
    }
}
