#![allow(clippy::unwrap_used)]

use std::fs;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://chat.example";

struct Issuer {
    directory: tempfile::TempDir,
    clock: Clock,
    keys: Vec<(&'static str, SigningKey)>,
}

impl Issuer {
    fn new(kids: &[&'static str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::from_second(1_800_000_000).unwrap());
        let keys = kids.iter().enumerate().map(|(i, kid)| (*kid, key(i))).collect();
        let issuer = Self { directory, clock, keys };
        issuer.publish();
        issuer
    }

    fn publish(&self) {
        let keys: Vec<_> = self
            .keys
            .iter()
            .map(|(kid, key)| {
                let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
                json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x})
            })
            .collect();
        fs::write(self.directory.path().join("jwks.json"), json!({"keys": keys}).to_string()).unwrap();
    }

    fn verifier(&self) -> TokenVerifier {
        let tokens = Tokens {
            issuer: ISSUER.into(),
            audience: "chatplatform".into(),
            jwks_file: self.directory.path().join("jwks.json"),
            signing_keys_file: None,
        };
        TokenVerifier::new(&tokens, self.clock.clone()).unwrap()
    }

    fn claims(&self) -> Value {
        let now = self.clock.now().as_second();
        json!({
            "iss": ISSUER, "aud": "chatplatform", "sub": UserId::generate(), "sid": SessionId::generate(), "jti": "t1",
            "iat": now, "exp": now + 600, "roles": ["user"], "name": "ada",
        })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let key = &self.keys.iter().find(|(kid, _)| header["kid"] == **kid).unwrap_or(&self.keys[0]).1;
        signed(key, header, claims)
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.keys[0].0}), claims)
    }
}

fn key(seed: usize) -> SigningKey {
    SigningKey::from_bytes(&[u8::try_from(seed).unwrap() + 1; 32])
}

fn signed(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes()))
}

#[test]
fn a_good_token_tells_who_is_calling() {
    let issuer = Issuer::new(&["kid-1"]);
    let claims = issuer.claims();
    let identity = issuer.verifier().verify(&issuer.token(&claims)).unwrap();
    assert_eq!(identity.user_id.to_string(), claims["sub"]);
    assert_eq!(identity.session_id.to_string(), claims["sid"]);
    assert_eq!(identity.roles, [Role::User]);
    assert_eq!(identity.expires_at.as_second(), claims["exp"]);
}

#[test]
fn a_token_ends_at_its_time_even_if_it_was_verified_before() {
    let issuer = Issuer::new(&["kid-1"]);
    let (verifier, token) = (issuer.verifier(), issuer.token(&issuer.claims()));
    assert!(verifier.verify(&token).is_ok());
    issuer.clock.advance(Duration::from_secs(599));
    assert!(verifier.verify(&token).is_ok());
    issuer.clock.advance(Duration::from_secs(10));
    assert_eq!(verifier.verify(&token), Err(TokenError::Expired));
    assert_eq!(issuer.verifier().verify(&token), Err(TokenError::Expired));
}

#[test]
fn each_claim_that_is_not_ours_is_refused() {
    let issuer = Issuer::new(&["kid-1"]);
    let verifier = issuer.verifier();
    let later = issuer.clock.now().as_second() + 60;
    for (claim, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("another")),
        ("sub", json!("root")),
        ("sid", Value::Null),
        ("exp", Value::Null),
        ("nbf", json!(later)),
        ("roles", json!(["god"])),
    ] {
        let mut claims = issuer.claims();
        claims[claim] = value;
        assert!(matches!(verifier.verify(&issuer.token(&claims)), Err(TokenError::Invalid(_))), "{claim}");
    }
}

#[test]
fn each_header_that_is_not_ours_is_refused() {
    let issuer = Issuer::new(&["kid-1"]);
    let verifier = issuer.verifier();
    for header in [
        json!({"alg": "EdDSA", "kid": "kid-1"}),
        json!({"alg": "EdDSA", "typ": "JWT", "kid": "kid-1"}),
        json!({"alg": "EdDSA", "typ": "at+jwt"}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "kid-2"}),
        json!({"alg": "HS256", "typ": "at+jwt", "kid": "kid-1"}),
        json!({"alg": "none", "typ": "at+jwt", "kid": "kid-1"}),
    ] {
        let token = issuer.sign(&header, &issuer.claims());
        assert!(matches!(verifier.verify(&token), Err(TokenError::Invalid(_))), "{header}");
    }
}

#[test]
fn a_changed_token_is_refused_wherever_it_was_changed() {
    let issuer = Issuer::new(&["kid-1"]);
    let verifier = issuer.verifier();
    let token = issuer.token(&issuer.claims());
    assert!(verifier.verify(&token).is_ok());
    for position in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verifier.verify(&changed).is_err(), "changed at {position}");
    }
    for garbage in ["", ".", "..", "a.b.c", &"x".repeat(100_000)] {
        assert!(verifier.verify(garbage).is_err());
    }
}

#[test]
fn another_issuers_key_under_our_kid_is_refused() {
    let issuer = Issuer::new(&["kid-1"]);
    let token = signed(&key(9), &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "kid-1"}), &issuer.claims());
    assert_eq!(issuer.verifier().verify(&token), Err(TokenError::Invalid("its signature is wrong")));
}

#[test]
fn a_key_that_is_newer_than_the_last_look_is_found_at_once() {
    let mut issuer = Issuer::new(&["kid-1"]);
    let verifier = issuer.verifier();
    issuer.keys.insert(0, ("kid-2", key(2)));
    let token = issuer.token(&issuer.claims());
    issuer.publish();
    assert!(verifier.verify(&token).is_ok());
}

#[test]
fn a_key_that_is_taken_away_takes_its_tokens_along() {
    let mut issuer = Issuer::new(&["kid-1", "kid-2"]);
    let verifier = issuer.verifier();
    let token = issuer.token(&issuer.claims());
    assert!(verifier.verify(&token).is_ok());
    issuer.keys.remove(0);
    issuer.publish();
    assert!(verifier.0.keys.refresh());
    assert_eq!(verifier.verify(&token), Err(TokenError::Invalid("its key is unknown")));
}

#[test]
fn the_bearer_scheme_is_read_without_regard_to_case_and_only_once() {
    let issuer = Issuer::new(&["kid-1"]);
    let verifier = issuer.verifier();
    let token = issuer.token(&issuer.claims());
    let mut headers = HeaderMap::new();
    assert_eq!(verifier.verify_headers(&headers), Err(TokenError::Missing));
    headers.insert(header::AUTHORIZATION, format!("bearer {token}").parse().unwrap());
    assert!(verifier.verify_headers(&headers).is_ok());
    headers.append(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    assert_eq!(verifier.verify_headers(&headers), Err(TokenError::Invalid("it came twice")));
    headers.insert(header::AUTHORIZATION, "Basic YTpi".parse().unwrap());
    assert_eq!(verifier.verify_headers(&headers), Err(TokenError::Missing));
}
