use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::Error;
use super::existing::broken;
use super::signing_keys::position;

/// A key ring of AES-256, kept as the text it was read as: that which wraps the keys of conversations, and that which
/// encrypts secrets of accounts.
#[derive(Clone, Debug)]
pub struct MessageKeys {
    text: SecretString,
    current: String,
}

#[derive(Deserialize)]
struct Ring {
    current: String,
    keys: BTreeMap<String, SecretString>,
}

impl MessageKeys {
    pub(super) fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rng.fill_bytes(bytes.as_mut());
        let key = Zeroizing::new(STANDARD.encode(bytes.as_ref()));
        let text = format!(r#"{{"current":"mk-1","keys":{{"mk-1":"{}"}}}}"#, key.as_str());
        Self { text: SecretString::from(text), current: "mk-1".to_owned() }
    }

    pub(super) fn parse(secret: &str, key: &str, text: &str) -> Result<Self, Error> {
        let ring: Ring = serde_json::from_str(text)
            .map_err(|error| broken(secret, key, format!("is not a key ring in JSON ({})", position(&error))))?;
        for (id, value) in &ring.keys {
            let length = STANDARD.decode(value.expose_secret()).map(|bytes| Zeroizing::new(bytes).len());
            if !matches!(length, Ok(32)) {
                return Err(broken(secret, key, format!("has a key {id:?} that is not 32 bytes in base64")));
            }
        }
        if !ring.keys.contains_key(&ring.current) {
            return Err(broken(secret, key, "names a current key that is not among its keys"));
        }
        Ok(Self { text: SecretString::from(text), current: ring.current })
    }

    /// Id of the key that what is new is encrypted with.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.current
    }

    pub(super) fn text(&self) -> &str {
        self.text.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_generated_ring_reads_back_as_it_is() {
        let made = MessageKeys::generate(&mut rand::rng());
        assert_eq!(MessageKeys::parse("s", "k", made.text()).unwrap().text(), made.text());
    }

    #[test]
    fn a_key_of_the_wrong_size_or_a_missing_current_key_is_refused() {
        let key = STANDARD.encode([7; 32]);
        for text in [
            r#"{"current":"a","keys":{"a":"c2hvcnQ="}}"#.to_owned(),
            format!(r#"{{"current":"b","keys":{{"a":"{key}"}}}}"#),
            format!(r#"{{"keys":{{"a":"{key}"}}}}"#),
        ] {
            let message = MessageKeys::parse("acme-message-keys", "keys.json", &text).unwrap_err().to_string();
            assert!(message.starts_with("Secret acme-message-keys, key keys.json:"), "{message}");
            assert!(!message.contains(&key) && !message.contains("c2hvcnQ"), "{message}");
        }
    }
}
