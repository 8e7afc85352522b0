//! Encryption at rest: envelope encryption with AES-256-GCM.
//!
//! Each conversation has a [`DataKey`] of its own, which seals the texts of its messages. The data key is stored beside the conversation,
//! wrapped by a key-encryption key of the [`KeyRing`]. So a new key-encryption key costs one small write a conversation, and removing the wrapped key
//! makes a conversation unreadable at once, in backups too once they have aged out.
//!
//! Neither is used on texts itself: each message is sealed, each data key wrapped, and each conversation searched by a key derived for that alone.

mod aead;
mod data_key;
mod envelope;
mod key_ring;
mod keys;
mod search_key;

pub use data_key::{DataKey, UnwrapError, WrappedKey};
pub use envelope::{Binding, OpenError, Sealed};
pub use key_ring::{KeyRing, KeyRingError};
pub use keys::Keys;
pub use search_key::SearchKey;

/// Length of every key here, in bytes (AES-256).
pub const KEY_LENGTH: usize = 32;
/// Length of a nonce in bytes: 96 bits, as NIST SP 800-38D advises; drawn at random for each use.
pub const NONCE_LENGTH: usize = 12;
