//! Who is calling: access tokens verified against the platform's public keys.

use std::{fmt, sync::Arc, time::Duration};

use axum::extract::{FromRef, FromRequestParts};
use contract::{
    claims::{ACCESS_TOKEN_TYPE, AccessClaims, Role},
    id::{SessionId, UserId},
    keys::{KeyUse, SIGNING},
    problem::Problem,
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind, jwk::JwkSet};
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use crate::{
    clock::Clock,
    config::Tokens,
    keys::KeyRings,
    problem::ApiError,
    watched::{Watched, WatchedError},
};

/// Tokens of this many sessions stay verified at a time; each costs about 200 bytes.
const CACHED_TOKENS: u64 = 50_000;
/// No token lives longer than this, so no entry has to.
const CACHED_FOR: Duration = Duration::from_hours(1);
/// By how much the clocks of issuer and verifier may differ, in seconds.
const LEEWAY: i64 = 5;
/// A token is about 500 bytes; nothing that is longer than this is hashed or decoded.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Someone whose access token is valid. As an extractor it states "any logged-in user may".
///
/// Whether the session was revoked meanwhile is the gateway's question (and the chat service's, for open sockets).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user_id: UserId,
    /// The log-in the token belongs to.
    pub session_id: SessionId,
    /// What the user may do.
    pub roles: Vec<Role>,
    /// The user's name when the token was issued.
    pub username: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}

impl Identity {
    /// Whether the user has `role`.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("no bearer token was sent")]
    Missing,
    /// It is not an access token of this platform: its form, key, signature, type, issuer or audience is wrong.
    #[error("the token is not a valid access token: {0}")]
    Invalid(&'static str),
    /// It was one until a while ago.
    #[error("the token has expired")]
    Expired,
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let status = StatusCode::UNAUTHORIZED;
        match error {
            TokenError::Missing => Problem::unauthenticated(),
            TokenError::Invalid(_) => Problem::new(status, "invalid-token", "The access token is not valid"),
            TokenError::Expired => Problem::new(status, "token-expired", "The access token has expired")
                .detail("Refresh it and try again."),
        }
    }
}

/// Verifies access tokens. Clones share keys and cache.
#[derive(Clone)]
pub struct TokenVerifier(Arc<Inner>);

struct Inner {
    keys: Watched<Keys>,
    validation: Validation,
    verified: Cache<[u8; 32], Verified>,
    clock: Clock,
}

/// A verified token and the generation of keys it was verified with: a key that is gone takes its tokens along.
#[derive(Clone)]
struct Verified {
    identity: Arc<Identity>,
    not_before: i64,
    expires: i64,
    keys: Arc<Keys>,
}

struct Keys(Vec<(String, DecodingKey)>);

impl TokenVerifier {
    /// A verifier with the keys in `jwks_file`, which is read again when it changes.
    pub fn new(tokens: &Tokens, clock: Clock) -> Result<Self, WatchedError> {
        let keys = Watched::load(&tokens.jwks_file, parse_keys)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&tokens.issuer]);
        validation.set_audience(&[&tokens.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Times are checked here against our own clock, at every use.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let verified = Cache::builder().max_capacity(CACHED_TOKENS).time_to_live(CACHED_FOR).build();
        Ok(Self(Arc::new(Inner { keys, validation, verified, clock })))
    }

    /// The ring of keys whose tokens are accepted, for [`crate::service::Service::keys`].
    #[must_use]
    pub fn key_rings(&self) -> KeyRings {
        let verifier = self.clone();
        KeyRings::new().with(SIGNING, move || {
            let accepted = verifier.0.keys.get().0.iter().map(|(kid, _)| kid.clone()).collect();
            KeyUse { accepted, ..KeyUse::default() }
        })
    }

    /// Verifies a token as it stands in `Authorization: Bearer` or in a socket's `auth.token`.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenError::Invalid("it is too long"));
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.0.verified.get(&digest).filter(|known| Arc::ptr_eq(&known.keys, &self.0.keys.get()));
        if let Some(known) = known {
            self.0.check_times(&known)?;
            return Ok(Identity::clone(&known.identity));
        }
        let verified = self.0.decode(token)?;
        self.0.check_times(&verified)?;
        let identity = Identity::clone(&verified.identity);
        self.0.verified.insert(digest, verified);
        Ok(identity)
    }

    /// Verifies the bearer token in the headers of a request.
    pub fn verify_headers(&self, headers: &HeaderMap) -> Result<Identity, TokenError> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or(TokenError::Missing)?;
        if values.next().is_some() {
            return Err(TokenError::Invalid("it came twice"));
        }
        let text = value.to_str().map_err(|_| TokenError::Invalid("it is not text"))?;
        match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => self.verify(token.trim()),
            _ => Err(TokenError::Missing),
        }
    }
}

impl Inner {
    fn decode(&self, token: &str) -> Result<Verified, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid("it is not a JWT"))?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::Invalid("it is not signed with EdDSA"));
        }
        // RFC 9068, section 4: the type keeps other signed things from passing as access tokens.
        let token_type = header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
        if token_type != ACCESS_TOKEN_TYPE && token_type != format!("application/{ACCESS_TOKEN_TYPE}") {
            return Err(TokenError::Invalid("its type is another"));
        }
        let kid = header.kid.as_deref().ok_or(TokenError::Invalid("it names no key"))?;
        let keys = self.keys_with(kid).ok_or(TokenError::Invalid("its key is unknown"))?;
        let key = keys.find(kid).ok_or(TokenError::Invalid("its key is unknown"))?;
        let claims =
            jsonwebtoken::decode::<AccessClaims>(token, key, &self.validation).map_err(|error| reason(&error))?.claims;
        let identity = Identity {
            user_id: claims.sub,
            session_id: claims.sid,
            roles: claims.roles,
            username: claims.name,
            expires_at: Timestamp::from_second(claims.exp).map_err(|_| TokenError::Invalid("its end is no time"))?,
        };
        let not_before = claims.nbf.unwrap_or(claims.iat);
        Ok(Verified { identity: Arc::new(identity), not_before, expires: claims.exp, keys })
    }

    /// The keys, if `kid` is among them. An unknown one may be newer than our last look at the file; a look costs a read of
    /// a small file, which a flood of forged tokens must not turn into a load, so the file's own watching paces it.
    fn keys_with(&self, kid: &str) -> Option<Arc<Keys>> {
        let keys = self.keys.get();
        if keys.find(kid).is_some() {
            return Some(keys);
        }
        if !self.keys.refresh_paced() {
            return None;
        }
        let keys = self.keys.get();
        keys.find(kid).is_some().then_some(keys)
    }

    fn check_times(&self, verified: &Verified) -> Result<(), TokenError> {
        let now = self.clock.now().as_second();
        if now >= verified.expires.saturating_add(LEEWAY) {
            Err(TokenError::Expired)
        } else if now.saturating_add(LEEWAY) < verified.not_before {
            Err(TokenError::Invalid("it is not valid yet"))
        } else {
            Ok(())
        }
    }
}

impl Keys {
    fn find(&self, kid: &str) -> Option<&DecodingKey> {
        self.0.iter().find(|(name, _)| name == kid).map(|(_, key)| key)
    }
}

fn parse_keys(content: &[u8]) -> Result<Keys, String> {
    let set: JwkSet = serde_json::from_slice(content).map_err(|error| format!("not a JWK Set: {error}"))?;
    let mut keys = Vec::new();
    for jwk in &set.keys {
        let kid = jwk.common.key_id.clone().ok_or("a key has no kid")?;
        let key = DecodingKey::from_jwk(jwk).map_err(|error| format!("key {kid}: {error}"))?;
        if key.family() != jsonwebtoken::AlgorithmFamily::Ed {
            return Err(format!("key {kid} is not an Ed25519 key"));
        }
        keys.push((kid, key));
    }
    Ok(Keys(keys))
}

fn reason(error: &jsonwebtoken::errors::Error) -> TokenError {
    TokenError::Invalid(match error.kind() {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidIssuer => "its issuer is another",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "a claim is missing",
        _ => "it is malformed",
    })
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").finish_non_exhaustive()
    }
}

impl<S: Sync> FromRequestParts<S> for Identity
where
    TokenVerifier: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(TokenVerifier::from_ref(state).verify_headers(&parts.headers)?)
    }
}

#[cfg(test)]
mod tests;
