use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Error;
use super::existing::broken;

/// The key ring that access tokens are signed with (RFC 8037, Ed25519), kept as the text it was read as.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    text: SecretString,
    current: String,
    public: Vec<PublicKey>,
}

#[derive(Clone, Debug, Serialize)]
struct PublicKey {
    kty: &'static str,
    crv: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    alg: &'static str,
    kid: String,
    x: String,
}

#[derive(Deserialize)]
struct Ring {
    current: String,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    crv: String,
    kid: String,
    x: String,
    d: SecretString,
}

impl SigningKeys {
    /// A ring of one new key, whose id is its thumbprint.
    pub(super) fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut seed = Zeroizing::new([0_u8; 32]);
        rng.fill_bytes(seed.as_mut());
        let public = PublicKey::of(&SigningKey::from_bytes(&seed), None);
        let d = Zeroizing::new(URL_SAFE_NO_PAD.encode(seed.as_ref()));
        let PublicKey { kty, crv, purpose, alg, kid, x } = &public;
        let text = format!(
            r#"{{"current":"{kid}","keys":[{{"kty":"{kty}","crv":"{crv}","use":"{purpose}","alg":"{alg}","kid":"{kid}","x":"{x}","d":"{}"}}]}}"#,
            d.as_str()
        );
        Self { text: SecretString::from(text), current: public.kid.clone(), public: vec![public] }
    }

    /// Reads a ring; the error names what is wrong and never a key.
    pub(super) fn parse(secret: &str, key: &str, text: &str) -> Result<Self, Error> {
        let ring: Ring = serde_json::from_str(text)
            .map_err(|error| broken(secret, key, format!("is not a key ring in JSON ({})", position(&error))))?;
        let public = ring
            .keys
            .iter()
            .map(PublicKey::checked)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|fault| broken(secret, key, fault))?;
        if public.iter().enumerate().any(|(index, key)| public[..index].iter().any(|other| other.kid == key.kid)) {
            return Err(broken(secret, key, "has two keys of one kid"));
        }
        if !public.iter().any(|key| key.kid == ring.current) {
            return Err(broken(secret, key, "names a current key that is not among its keys"));
        }
        Ok(Self { text: SecretString::from(text), current: ring.current, public })
    }

    /// Id of the key that signs.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.current
    }

    /// The JWK Set of the public halves (RFC 7517), for who verifies tokens.
    #[must_use]
    pub fn jwks(&self) -> String {
        serde_json::json!({ "keys": self.public }).to_string()
    }

    pub(super) fn text(&self) -> &str {
        self.text.expose_secret()
    }
}

impl PublicKey {
    fn of(key: &SigningKey, kid: Option<String>) -> Self {
        let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        Self { kty: "OKP", crv: "Ed25519", purpose: "sig", alg: "EdDSA", kid: kid.unwrap_or_else(|| thumbprint(&x)), x }
    }

    fn checked(key: &Key) -> Result<Self, String> {
        let kid = &key.kid;
        if key.kty != "OKP" || key.crv != "Ed25519" {
            return Err(format!("has a key {kid:?} that is not of kty OKP and crv Ed25519"));
        }
        let seed = URL_SAFE_NO_PAD
            .decode(key.d.expose_secret())
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(Zeroizing::new(bytes).as_slice()).ok())
            .map(Zeroizing::new)
            .ok_or_else(|| format!("has a key {kid:?} whose d is not 32 bytes in base64url"))?;
        let public = Self::of(&SigningKey::from_bytes(&seed), Some(kid.clone()));
        if public.x == key.x { Ok(public) } else { Err(format!("has a key {kid:?} whose x does not belong to its d")) }
    }
}

/// The JWK thumbprint (RFC 7638) of an Ed25519 key (RFC 8037, section 2) with public half `x` in base64url.
#[must_use]
pub fn thumbprint(x: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// Where JSON is wrong. The library's own words may quote the text and so the key.
pub(super) fn position(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    // RFC 8037, appendix A.1 to A.3.
    const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn ring(x: &str, d: &str, kid: &str, current: &str) -> String {
        format!(
            r#"{{"current":"{current}","keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}","d":"{d}"}}]}}"#
        )
    }

    #[test]
    fn the_thumbprint_of_rfc_8037_comes_out() {
        assert_eq!(thumbprint(X), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn the_public_half_of_rfc_8037_belongs_to_its_private_half() {
        let keys = SigningKeys::parse("s", "k", &ring(X, D, "a", "a")).unwrap();
        assert!(keys.jwks().contains(X));
        assert!(!keys.jwks().contains(D));
    }

    #[test]
    fn a_generated_ring_reads_back_as_it_is_and_its_kid_is_its_thumbprint() {
        let made = SigningKeys::generate(&mut rand::rng());
        let read = SigningKeys::parse("s", "k", made.text()).unwrap();
        assert_eq!(read.text(), made.text());
        assert_eq!(read.jwks(), made.jwks());
        assert_eq!(read.current(), thumbprint(&made.public[0].x));
    }

    #[test]
    fn a_ring_that_cannot_sign_is_refused_without_showing_it() {
        let other = SigningKeys::generate(&mut rand::rng());
        let wrong_half = ring(&other.public[0].x, D, "a", "a");
        for text in [
            &ring(X, "AAAA", "a", "a"),
            &wrong_half,
            &ring(X, D, "a", "b"),
            "{",
            &format!(r#"{{"current":"a","keys":"{D}"}}"#),
        ] {
            let message = SigningKeys::parse("acme-signing-keys", "keys.json", text).unwrap_err().to_string();
            assert!(message.contains("acme-signing-keys") && message.contains("keys.json"), "{message}");
            assert!(!message.contains(D), "{message}");
        }
    }
}
