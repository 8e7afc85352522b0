//! People as services know them by their tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use servers::access_tokens::access_token;

/// Sockets do not outlive their token.
const LIFE_SECONDS: u64 = 3600;

/// The id of a person.
pub(super) fn user(number: usize) -> String {
    id('1', number)
}

/// An access token of a person, as the auth service issues it, though for longer.
pub(super) fn token(number: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let claims = json!({"sub": user(number), "sid": id('2', number), "exp": now.as_secs() + LIFE_SECONDS});
    access_token(&claims)
}

/// The canonical form of a ULID, which only this number has of this kind.
pub(super) fn id(kind: char, number: usize) -> String {
    format!("01JDAYB7N8{kind}{number:015}")
}
