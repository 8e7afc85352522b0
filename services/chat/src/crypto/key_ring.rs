//! The key-encryption keys, by id, as the operator hands them out.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::KEY_LENGTH;

/// All live key-encryption keys: new data keys are wrapped by the current one, old ones stay until nothing is wrapped by them.
#[derive(Clone)]
pub struct KeyRing {
    current: String,
    keys: BTreeMap<String, Zeroizing<[u8; KEY_LENGTH]>>,
}

/// Why a key-ring file was refused. No variant holds key material.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyRingError {
    /// Not the JSON it should be. The parser's own message is left out: it could quote the file.
    #[error(
        "the key ring is not JSON of the form {{\"current\": <id>, \"keys\": {{<id>: <base64>}}}} (line {line}, column {column})"
    )]
    Malformed {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault.
        column: usize,
    },
    /// A key is not base64 or not 32 bytes long.
    #[error("key `{id}` is not base64 of exactly {KEY_LENGTH} bytes")]
    BadKey {
        /// Id of the key.
        id: String,
    },
    /// `current` names no key.
    #[error("the current key `{id}` is not among the keys")]
    NoCurrent {
        /// What `current` says.
        id: String,
    },
}

#[derive(Deserialize)]
struct File {
    current: String,
    keys: BTreeMap<String, String>,
}

impl KeyRing {
    /// Parses the JSON file `{"current": "mk-1", "keys": {"mk-1": "<base64 of 32 bytes>"}}`.
    pub fn parse(file: &[u8]) -> Result<Self, KeyRingError> {
        let File { current, keys } = serde_json::from_slice(file)
            .map_err(|fault| KeyRingError::Malformed { line: fault.line(), column: fault.column() })?;
        let keys = keys
            .into_iter()
            .map(|(id, encoded)| match decode(&Zeroizing::new(encoded)) {
                Some(key) => Ok((id, key)),
                None => Err(KeyRingError::BadKey { id }),
            })
            .collect::<Result<BTreeMap<_, _>, _>>()?;
        if !keys.contains_key(&current) {
            return Err(KeyRingError::NoCurrent { id: current });
        }
        Ok(Self { current, keys })
    }

    /// Id of the key that wraps new data keys.
    #[must_use]
    pub fn current_id(&self) -> &str {
        &self.current
    }

    /// Ids of all keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// The key of an id, if it is still live.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&[u8; KEY_LENGTH]> {
        self.keys.get(id).map(|key| &**key)
    }
}

fn decode(encoded: &str) -> Option<Zeroizing<[u8; KEY_LENGTH]>> {
    let bytes = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    if bytes.len() != KEY_LENGTH {
        return None;
    }
    key.copy_from_slice(&bytes);
    Some(key)
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("current", &self.current)
            .field("ids", &self.keys.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_ring_names_its_current_key_and_keeps_the_old_ones() {
        let old = STANDARD.encode([1; 32]);
        let new = STANDARD.encode([2; 32]);
        let file = format!(r#"{{"current": "mk-2", "keys": {{"mk-1": "{old}", "mk-2": "{new}"}}}}"#);
        let ring = KeyRing::parse(file.as_bytes()).unwrap();
        assert_eq!(ring.current_id(), "mk-2");
        assert_eq!(ring.key("mk-1"), Some(&[1; 32]));
        assert_eq!(ring.key("mk-2"), Some(&[2; 32]));
        assert_eq!(ring.key("mk-3"), None);
    }

    #[test]
    fn faults_are_named_without_quoting_the_file() {
        let short = STANDARD.encode([1; 16]);
        let bad = |file: String| KeyRing::parse(file.as_bytes()).unwrap_err();
        assert_eq!(
            bad(format!(r#"{{"current": "a", "keys": {{"a": "{short}"}}}}"#)),
            KeyRingError::BadKey { id: "a".into() }
        );
        assert_eq!(bad(r#"{"current": "a", "keys": {}}"#.into()), KeyRingError::NoCurrent { id: "a".into() });
        assert!(!bad(r#"{"current": "a", "keys": {"a": 12345}}"#.into()).to_string().contains("12345"));
    }

    #[test]
    fn a_ring_is_printed_without_its_keys() {
        let file = format!(r#"{{"current": "mk-1", "keys": {{"mk-1": "{}"}}}}"#, STANDARD.encode([7; 32]));
        let printed = format!("{:?}", KeyRing::parse(file.as_bytes()).unwrap());
        assert_eq!(printed, r#"KeyRing { current: "mk-1", ids: ["mk-1"], .. }"#);
    }
}
