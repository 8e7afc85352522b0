//! Access tokens: JWTs of type `at+jwt` (RFC 9068), signed with Ed25519 (`EdDSA`, RFC 8037).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use contract::claims::{ACCESS_TOKEN_LIFETIME, ACCESS_TOKEN_TYPE, AccessClaims, Role};
use contract::id::{SessionId, UserId};
use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;
use rand::Rng;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Who issues tokens, and for whom.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// `iss`: the platform's URL.
    pub issuer: String,
    /// `aud`: who accepts the tokens.
    pub audience: String,
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// The user.
    pub user: UserId,
    /// The user's name at this moment.
    pub name: &'a str,
    /// What the user may do.
    pub roles: &'a [Role],
    /// The session it belongs to.
    pub session: SessionId,
}

impl Issuer {
    /// The claims of a token for `bearer`, good for [`ACCESS_TOKEN_LIFETIME`] from `now`.
    pub fn claims<R: Rng>(&self, bearer: Bearer<'_>, now: Timestamp, rng: &mut R) -> AccessClaims {
        let mut token_id = [0; 16];
        rng.fill_bytes(&mut token_id);
        AccessClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: bearer.user,
            sid: bearer.session,
            jti: BASE64_URL_SAFE_NO_PAD.encode(token_id),
            iat: now.as_second(),
            nbf: None,
            exp: (now + ACCESS_TOKEN_LIFETIME).as_second(),
            roles: bearer.roles.to_vec(),
            name: bearer.name.to_owned(),
        }
    }
}

/// The signing keys: one signs, the others' tokens are still good.
pub struct KeyRing {
    current: String,
    signer: SigningKey,
    public: Vec<Jwk>,
}

/// The public half of a key, as a JWK (RFC 7517, RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Jwk {
    kty: String,
    crv: String,
    #[serde(rename = "use")]
    usage: String,
    alg: String,
    /// Name of the key, as tokens give it.
    pub kid: String,
    x: String,
}

/// A JWK Set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JwkSet {
    /// Its keys.
    pub keys: Vec<Jwk>,
}

/// Why a file holds no key ring.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// Not the JSON of a key ring.
    #[error("not a key ring: {0}")]
    Json(#[from] serde_json::Error),
    /// Not the private key of an Ed25519 pair.
    #[error("key {0:?} is not an Ed25519 key for EdDSA with 32 bytes of `d` in base64url")]
    NotEd25519(String),
    /// `x` does not belong to `d`.
    #[error("key {0:?} has a public half that does not belong to its private half")]
    Mismatch(String),
    /// There is no key of the name that `current` gives.
    #[error("the current key {0:?} is not in the ring")]
    NoCurrent(String),
}

impl KeyRing {
    /// Reads `{"current": kid, "keys": [JWK with d]}`.
    pub fn parse(json: &[u8]) -> Result<Self, KeyRingError> {
        #[derive(Deserialize)]
        struct File {
            current: String,
            keys: Vec<PrivateJwk>,
        }
        #[derive(Deserialize)]
        struct PrivateJwk {
            #[serde(flatten)]
            public: Jwk,
            d: SecretString,
        }

        let file: File = serde_json::from_slice(json)?;
        let mut signer = None;
        let mut public = Vec::with_capacity(file.keys.len());
        for key in file.keys {
            let pair = pair(&key.public, key.d.expose_secret())?;
            if key.public.kid == file.current {
                signer = Some(pair);
            }
            public.push(key.public);
        }
        Ok(Self {
            signer: signer.ok_or_else(|| KeyRingError::NoCurrent(file.current.clone()))?,
            current: file.current,
            public,
        })
    }

    /// Id of the key that signs.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Signs `claims` with the current key, in JWS compact serialisation (RFC 7515).
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'a str,
            typ: &'a str,
            kid: &'a str,
        }

        let header = serde_json::to_vec(&Header { alg: "EdDSA", typ: ACCESS_TOKEN_TYPE, kid: &self.current })?;
        let claims = serde_json::to_vec(claims)?;
        let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signer.sign(token.as_bytes());
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        Ok(token)
    }

    /// What others need to check our tokens: `published` and, where a new key has not reached it yet, our own.
    #[must_use]
    pub fn jwks(&self, published: &JwkSet) -> JwkSet {
        let mut keys = published.keys.clone();
        for key in &self.public {
            if keys.iter().all(|known| known.kid != key.kid) {
                keys.push(key.clone());
            }
        }
        JwkSet { keys }
    }
}

fn pair(public: &Jwk, private: &str) -> Result<SigningKey, KeyRingError> {
    let wrong = || KeyRingError::NotEd25519(public.kid.clone());
    if (public.kty.as_str(), public.crv.as_str(), public.alg.as_str()) != ("OKP", "Ed25519", "EdDSA") {
        return Err(wrong());
    }
    let mut seed = Zeroizing::new([0; 32]);
    let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(private).map_err(|_| wrong())?);
    if bytes.len() != seed.len() {
        return Err(wrong());
    }
    seed.copy_from_slice(&bytes);
    let pair = SigningKey::from_bytes(&seed);
    if BASE64_URL_SAFE_NO_PAD.encode(pair.verifying_key().to_bytes()) != public.x {
        return Err(KeyRingError::Mismatch(public.kid.clone()));
    }
    Ok(pair)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use ed25519_dalek::{Signature, Verifier as _};
    use serde_json::{Value, json};

    use super::*;

    fn jwk(kid: &str, seed: u8) -> Value {
        let pair = SigningKey::from_bytes(&[seed; 32]);
        json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid,
            "x": BASE64_URL_SAFE_NO_PAD.encode(pair.verifying_key().to_bytes()),
            "d": BASE64_URL_SAFE_NO_PAD.encode([seed; 32]),
        })
    }

    fn ring(current: &str, keys: &[Value]) -> Result<KeyRing, KeyRingError> {
        KeyRing::parse(&serde_json::to_vec(&json!({"current": current, "keys": keys})).unwrap())
    }

    fn claims() -> AccessClaims {
        let issuer = Issuer { issuer: "https://chat.example.org".to_owned(), audience: "chatplatform".to_owned() };
        let bearer = Bearer {
            user: "01JDAYB7N80000000000000001".parse().unwrap(),
            name: "ada",
            roles: &[Role::User],
            session: "01JDAYB7N80000000000000002".parse().unwrap(),
        };
        issuer.claims(bearer, Timestamp::UNIX_EPOCH, &mut rand::rng())
    }

    #[test]
    fn a_token_is_signed_by_the_current_key_and_says_so() {
        let ring = ring("new", &[jwk("old", 1), jwk("new", 2)]).unwrap();
        let token = ring.sign(&claims()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        SigningKey::from_bytes(&[2; 32])
            .verifying_key()
            .verify(signed.as_bytes(), &Signature::from_slice(&signature).unwrap())
            .unwrap();
        let header = BASE64_URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&header).unwrap(),
            json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "new"})
        );
    }

    #[test]
    fn a_token_is_good_for_ten_minutes() {
        let claims = claims();
        assert_eq!(claims.exp - claims.iat, 600);
    }

    #[test]
    fn the_published_set_holds_old_keys_and_new_ones_and_no_private_half() {
        let ring = ring("new", &[jwk("new", 2)]).unwrap();
        let published: JwkSet = serde_json::from_value(json!({"keys": [jwk("old", 1)]})).unwrap();
        let jwks = serde_json::to_value(ring.jwks(&published)).unwrap();
        let kids: Vec<_> = jwks["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
        assert_eq!(kids, ["old", "new"]);
        assert!(!jwks.to_string().contains("\"d\""));
    }

    #[test]
    fn a_ring_without_its_current_key_is_refused() {
        assert!(matches!(ring("new", &[jwk("old", 1)]), Err(KeyRingError::NoCurrent(kid)) if kid == "new"));
    }

    #[test]
    fn halves_that_do_not_belong_together_are_refused() {
        let mut key = jwk("odd", 1);
        key["x"] = jwk("other", 2)["x"].clone();
        assert!(matches!(ring("odd", &[key]), Err(KeyRingError::Mismatch(kid)) if kid == "odd"));
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let mut key = jwk("rsa", 1);
        key["kty"] = json!("RSA");
        assert!(matches!(ring("rsa", &[key]), Err(KeyRingError::NotEd25519(_))));
    }
}
