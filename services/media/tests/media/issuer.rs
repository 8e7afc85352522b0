//! Who issues the access tokens of the tests.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use contract::id::{SessionId, UserId};
use ed25519_dalek::{Signer, SigningKey};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://chat.example";

const KID: &str = "kid-1";

/// The issuer's key for signing.
pub(crate) struct Issuer(SigningKey);

impl Issuer {
    /// An issuer whose public key stands in `jwks.json` of `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let key = SigningKey::from_bytes(&rand::random());
        let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KID, "x": x});
        fs::write(folder.join("jwks.json"), json!({"keys": [jwk]}).to_string()).unwrap();
        Self(key)
    }

    /// An access token of `user`.
    pub(crate) fn token(&self, user: UserId) -> String {
        let now = Timestamp::now().as_second();
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": KID});
        let claims = json!({
            "iss": ISSUER, "aud": "chatplatform", "sub": user, "sid": SessionId::generate(), "jti": "t", "iat": now,
            "exp": now + 600, "roles": ["user"], "name": "ada",
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).to_bytes());
        format!("{signed}.{signature}")
    }
}
