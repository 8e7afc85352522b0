//! Access tokens for tests of services that verify them: signed with a key that is the same in every test.

use std::{fs, io, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use serde_json::{Value, json};

/// `iss` of the tokens.
pub const ISSUER: &str = "https://chat.example";

const KID: &str = "kid-1";

/// Writes the public key, as a JWK Set (RFC 7517), to `jwks.json` of `folder`.
pub fn write_jwks(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("jwks.json"), json!({"keys": [public()]}).to_string())
}

/// Writes the key that they are signed with, as the auth service is given its ring of keys, to `signing-keys.json` of `folder`.
pub fn write_signing_keys(folder: &Path) -> io::Result<()> {
    let mut jwk = public();
    jwk["d"] = URL_SAFE_NO_PAD.encode(key().to_bytes()).into();
    fs::write(folder.join("signing-keys.json"), json!({"current": KID, "keys": [jwk]}).to_string())
}

/// An access token (RFC 9068) for `chatplatform` that lives ten minutes, of somebody with the role `user`. `claims` has `sub` and
/// `sid`, and whatever else shall be otherwise.
#[must_use]
pub fn access_token(claims: &Value) -> String {
    let now = Timestamp::now().as_second();
    let mut all = json!({
        "iss": ISSUER, "aud": "chatplatform", "jti": "t", "iat": now, "exp": now + 600, "roles": ["user"], "name": "ada",
    });
    for (name, value) in claims.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({"alg": "EdDSA", "typ": "at+jwt", "kid": KID})), encode(&all));
    let signature = URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()).to_bytes());
    format!("{signed}.{signature}")
}

fn public() -> Value {
    let x = URL_SAFE_NO_PAD.encode(key().verifying_key().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KID, "x": x})
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}
