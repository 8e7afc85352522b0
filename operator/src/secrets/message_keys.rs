use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::Error;
use super::existing::broken;
use super::rotation::Ring;
use super::signing_keys::position;

/// What stands before the number in the id of a key.
const PREFIX: &str = "mk-";

/// A key ring of AES-256, kept as the text it was read as: that which wraps the keys of conversations, and that which
/// encrypts secrets of accounts.
#[derive(Clone, Debug)]
pub struct MessageKeys {
    text: SecretString,
    current: String,
    keys: BTreeMap<String, SecretString>,
}

#[derive(Deserialize)]
struct File {
    current: String,
    keys: BTreeMap<String, SecretString>,
}

impl MessageKeys {
    pub(super) fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let first = format!("{PREFIX}1");
        Self::written(first.clone(), [(first, key(rng))].into())
    }

    /// A ring of keys that have been looked through.
    fn written(current: String, keys: BTreeMap<String, SecretString>) -> Self {
        let mut text = Zeroizing::new(format!(r#"{{"current":"{current}","keys":{{"#));
        for (place, (id, key)) in keys.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            // Writing to a String does not fail.
            let _ = write!(text, r#"{comma}"{id}":"{}""#, key.expose_secret());
        }
        text.push_str("}}");
        Self { text: SecretString::from(text.as_str()), current, keys }
    }

    pub(super) fn parse(secret: &str, key: &str, text: &str) -> Result<Self, Error> {
        let ring: File = serde_json::from_str(text)
            .map_err(|error| broken(secret, key, format!("is not a key ring in JSON ({})", position(&error))))?;
        for (id, value) in &ring.keys {
            // It is written into JSON as it is.
            if id.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
                return Err(broken(secret, key, "has a key whose id has quotes, backslashes or control characters"));
            }
            let length = STANDARD.decode(value.expose_secret()).map(|bytes| Zeroizing::new(bytes).len());
            if !matches!(length, Ok(32)) {
                return Err(broken(secret, key, format!("has a key {id:?} that is not 32 bytes in base64")));
            }
        }
        if !ring.keys.contains_key(&ring.current) {
            return Err(broken(secret, key, "names a current key that is not among its keys"));
        }
        Ok(Self { text: SecretString::from(text), current: ring.current, keys: ring.keys })
    }

    pub(crate) fn text(&self) -> &str {
        self.text.expose_secret()
    }
}

impl Ring for MessageKeys {
    fn ids(&self) -> Vec<&str> {
        self.keys.keys().map(String::as_str).collect()
    }

    fn current(&self) -> &str {
        &self.current
    }

    /// Numbers go on where they are, so that no two keys that ever wrapped something are called alike.
    fn with_one_more(&self, rng: &mut (impl CryptoRng + ?Sized)) -> (Self, String) {
        let numbers = self.keys.keys().filter_map(|id| id.strip_prefix(PREFIX)?.parse::<u64>().ok());
        let id = format!("{PREFIX}{}", numbers.max().unwrap_or_default().saturating_add(1));
        let mut keys = self.keys.clone();
        keys.insert(id.clone(), key(rng));
        (Self::written(self.current.clone(), keys), id)
    }

    fn switched(&self, to: &str) -> Option<Self> {
        self.keys.contains_key(to).then(|| Self::written(to.to_owned(), self.keys.clone()))
    }

    fn without_others(&self) -> Self {
        let keys = self.keys.iter().filter(|(id, _)| **id == self.current);
        Self::written(self.current.clone(), keys.map(|(id, key)| (id.clone(), key.clone())).collect())
    }
}

/// 32 random bytes in base64.
fn key(rng: &mut (impl CryptoRng + ?Sized)) -> SecretString {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rng.fill_bytes(bytes.as_mut());
    SecretString::from(STANDARD.encode(bytes.as_ref()))
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
    fn a_ring_that_has_changed_reads_back_and_no_id_comes_twice() {
        let mut rng = rand::rng();
        let first = MessageKeys::generate(&mut rng);
        let (both, new) = first.with_one_more(&mut rng);
        assert_eq!((both.ids(), both.current(), new.as_str()), (vec!["mk-1", "mk-2"], "mk-1", "mk-2"));
        let switched = both.switched(&new).unwrap();
        let last = switched.without_others();
        let (next, third) = last.with_one_more(&mut rng);
        assert_eq!((last.ids(), third.as_str()), (vec!["mk-2"], "mk-3"));
        for ring in [&both, &switched, &last, &next] {
            let read = MessageKeys::parse("s", "k", ring.text()).unwrap();
            assert_eq!((read.ids(), read.current(), read.text()), (ring.ids(), ring.current(), ring.text()));
        }
        assert_eq!(switched.keys["mk-1"].expose_secret(), first.keys["mk-1"].expose_secret());
        assert_eq!(next.keys["mk-2"].expose_secret(), both.keys["mk-2"].expose_secret());
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
