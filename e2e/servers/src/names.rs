//! Names that no other test uses.

/// `prefix-` and 12 random hexadecimal digits.
pub(crate) fn fresh(prefix: &str) -> String {
    format!("{prefix}-{}", hex::encode(rand::random::<[u8; 6]>()))
}
