//! What an access token says: a JWT of type `at+jwt` ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)), signed with `EdDSA`.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{SessionId, UserId};

/// The header's `typ` of an access token; anything else with a valid signature is not one.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// How long an access token is good for, and so how long a revocation must be remembered and a key that signs no more be kept.
pub const ACCESS_TOKEN_LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// How long caches may keep the published keys: a new key is published for longer than this before it signs.
pub const PUBLISHED_KEYS_CACHED: SignedDuration = SignedDuration::from_mins(1);

/// The claims of an access token. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Issuer: the platform's URL.
    pub iss: String,
    /// Audience: who shall accept the token.
    pub aud: String,
    /// Subject: the user.
    pub sub: UserId,
    /// The session the token belongs to; revoking it ends the token before `exp`.
    pub sid: SessionId,
    /// Identity of this token.
    pub jti: String,
    /// Issued at.
    pub iat: i64,
    /// Not valid before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Expires at.
    pub exp: i64,
    /// What the user may do.
    pub roles: Vec<Role>,
    /// The user's name at the time of issue, for display and logs only.
    pub name: String,
}

/// What a user may do on the platform as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Chats.
    User,
    /// May remove other people's messages and lock accounts.
    Moderator,
    /// May do everything, roles included.
    Admin,
}
