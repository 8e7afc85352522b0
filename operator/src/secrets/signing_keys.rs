use std::fmt::Write as _;

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
use super::rotation::Ring;

/// The key ring that access tokens are signed with (RFC 8037, Ed25519), kept as the text it was read as.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    text: SecretString,
    current: String,
    keys: Vec<Key>,
    public: Vec<PublicKey>,
}

const KTY: &str = "OKP";
const CRV: &str = "Ed25519";

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
struct File {
    current: String,
    keys: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize)]
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
        let key = Key::generate(rng);
        Self::written(key.kid.clone(), vec![key])
    }

    /// A ring of keys that have been looked through.
    fn written(current: String, keys: Vec<Key>) -> Self {
        let public: Vec<PublicKey> = keys.iter().map(|key| PublicKey::of(&key.x, key.kid.clone())).collect();
        let mut text = Zeroizing::new(format!(r#"{{"current":"{current}","keys":["#));
        for (place, (key, public)) in keys.iter().zip(&public).enumerate() {
            let PublicKey { kty, crv, purpose, alg, kid, x } = public;
            let comma = if place == 0 { "" } else { "," };
            // Writing to a String does not fail.
            let _ = write!(
                text,
                r#"{comma}{{"kty":"{kty}","crv":"{crv}","use":"{purpose}","alg":"{alg}","kid":"{kid}","x":"{x}","d":"{}"}}"#,
                key.d.expose_secret()
            );
        }
        text.push_str("]}");
        Self { text: SecretString::from(text.as_str()), current, keys, public }
    }

    /// Reads a ring; the error names what is wrong and never a key.
    pub(super) fn parse(secret: &str, key: &str, text: &str) -> Result<Self, Error> {
        let ring: File = serde_json::from_str(text)
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
        Ok(Self { text: SecretString::from(text), current: ring.current, keys: ring.keys, public })
    }

    /// The JWK Set of the public halves (RFC 7517), for who verifies tokens.
    #[must_use]
    pub fn jwks(&self) -> String {
        serde_json::json!({ "keys": self.public }).to_string()
    }

    pub(crate) fn text(&self) -> &str {
        self.text.expose_secret()
    }
}

impl Ring for SigningKeys {
    fn ids(&self) -> Vec<&str> {
        self.public.iter().map(|key| key.kid.as_str()).collect()
    }

    fn current(&self) -> &str {
        &self.current
    }

    fn with_one_more(&self, rng: &mut (impl CryptoRng + ?Sized)) -> (Self, String) {
        let key = Key::generate(rng);
        let kid = key.kid.clone();
        let keys = self.keys.iter().cloned().chain([key]).collect();
        (Self::written(self.current.clone(), keys), kid)
    }

    fn switched(&self, to: &str) -> Option<Self> {
        self.keys.iter().any(|key| key.kid == to).then(|| Self::written(to.to_owned(), self.keys.clone()))
    }

    fn without_others(&self) -> Self {
        let keys = self.keys.iter().filter(|key| key.kid == self.current).cloned().collect();
        Self::written(self.current.clone(), keys)
    }
}

impl Key {
    fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut seed = Zeroizing::new([0_u8; 32]);
        rng.fill_bytes(seed.as_mut());
        let x = public_half(&SigningKey::from_bytes(&seed));
        let d = SecretString::from(URL_SAFE_NO_PAD.encode(seed.as_ref()));
        Self { kty: KTY.to_owned(), crv: CRV.to_owned(), kid: thumbprint(&x), x, d }
    }
}

impl PublicKey {
    fn of(x: &str, kid: String) -> Self {
        Self { kty: KTY, crv: CRV, purpose: "sig", alg: "EdDSA", kid, x: x.to_owned() }
    }

    fn checked(key: &Key) -> Result<Self, String> {
        let kid = &key.kid;
        if key.kty != KTY || key.crv != CRV {
            return Err(format!("has a key {kid:?} that is not of kty OKP and crv Ed25519"));
        }
        // It is written into JSON as it is.
        if kid.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
            return Err("has a key whose kid has quotes, backslashes or control characters".to_owned());
        }
        let seed = URL_SAFE_NO_PAD
            .decode(key.d.expose_secret())
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(Zeroizing::new(bytes).as_slice()).ok())
            .map(Zeroizing::new)
            .ok_or_else(|| format!("has a key {kid:?} whose d is not 32 bytes in base64url"))?;
        if public_half(&SigningKey::from_bytes(&seed)) == key.x {
            Ok(Self::of(&key.x, kid.clone()))
        } else {
            Err(format!("has a key {kid:?} whose x does not belong to its d"))
        }
    }
}

fn public_half(key: &SigningKey) -> String {
    URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes())
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
    fn a_ring_that_has_changed_reads_back_and_its_keys_are_those_of_before() {
        let mut rng = rand::rng();
        let first = SigningKeys::generate(&mut rng);
        let (both, new) = first.with_one_more(&mut rng);
        assert_eq!((both.ids(), both.current()), (vec![first.current(), new.as_str()], first.current()));
        let switched = both.switched(&new).unwrap();
        let last = switched.without_others();
        for ring in [&both, &switched, &last] {
            let read = SigningKeys::parse("s", "k", ring.text()).unwrap();
            assert_eq!((read.jwks(), read.current(), read.text()), (ring.jwks(), ring.current(), ring.text()));
        }
        assert_eq!((switched.current(), switched.jwks()), (new.as_str(), both.jwks()));
        assert_eq!(last.ids(), [new.as_str()]);
        assert!(both.switched("nobody").is_none());
        // The key of before is that of before.
        assert!(both.jwks().contains(&first.public[0].x) && both.text().contains(first.keys[0].d.expose_secret()));
    }

    #[test]
    fn a_ring_that_cannot_sign_is_refused_without_showing_it() {
        let other = SigningKeys::generate(&mut rand::rng());
        let wrong_half = ring(&other.public[0].x, D, "a", "a");
        for text in [
            &ring(X, "AAAA", "a", "a"),
            &wrong_half,
            &ring(X, D, "a", "b"),
            &ring(X, D, r#"a\""#, r#"a\""#),
            "{",
            &format!(r#"{{"current":"a","keys":"{D}"}}"#),
        ] {
            let message = SigningKeys::parse("acme-signing-keys", "keys.json", text).unwrap_err().to_string();
            assert!(message.contains("acme-signing-keys") && message.contains("keys.json"), "{message}");
            assert!(!message.contains(D), "{message}");
        }
    }
}
