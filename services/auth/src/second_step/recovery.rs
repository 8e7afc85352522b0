//! Recovery codes: each opens the second step once, in the place of an app that is lost.

use std::fmt;

use contract::id::UserId;
use rand::CryptoRng;
use sha2::{Digest as _, Sha256};

use super::totp::base32;

/// How many codes a user gets.
pub const COUNT: usize = 10;
/// Eighty random bits: too many to be found by trying digests, so that a quick hash is enough.
const BYTES: usize = 10;
const GROUP: usize = 4;

/// What the database keeps of a code: SHA-256 over its owner and itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Digest")
    }
}

/// [`COUNT`] new codes as they are shown, once: `ABCD-EFGH-IJKL-MNOP`.
pub fn generate(rng: &mut impl CryptoRng) -> Vec<String> {
    let mut code = || {
        let mut bytes = [0; BYTES];
        rng.fill_bytes(&mut bytes);
        let text = base32(&bytes);
        let groups: Vec<&str> = text.as_bytes().chunks(GROUP).filter_map(|group| str::from_utf8(group).ok()).collect();
        groups.join("-")
    };
    (0..COUNT).map(|_| code()).collect()
}

/// The digest of a code of `user` as it was typed: neither case nor blanks nor hyphens matter.
#[must_use]
pub fn digest(user: UserId, code: &str) -> Digest {
    let typed: String =
        code.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_uppercase()).collect();
    Digest(Sha256::new().chain_update(user.to_string()).chain_update([0]).chain_update(typed).finalize().into())
}

/// The digests of `codes`.
#[must_use]
pub fn digests(user: UserId, codes: &[String]) -> Vec<Digest> {
    codes.iter().map(|code| digest(user, code)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_ten_different_codes_of_four_groups() {
        let codes = generate(&mut rand::rng());
        assert_eq!(codes.iter().collect::<std::collections::BTreeSet<_>>().len(), COUNT);
        for code in codes {
            let groups: Vec<&str> = code.split('-').collect();
            assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == GROUP), "{code}");
        }
    }

    #[test]
    fn a_code_may_be_typed_in_lower_case_and_without_hyphens() {
        let user = UserId::generate();
        assert_eq!(digest(user, "ABCD-EFGH-IJKL-MNOP"), digest(user, " abcdefgh ijklmnop"));
        assert_ne!(digest(user, "ABCD-EFGH-IJKL-MNOP"), digest(user, "ABCD-EFGH-IJKL-MNOQ"));
    }

    #[test]
    fn the_same_code_of_two_users_is_kept_differently() {
        assert_ne!(digest(UserId::generate(), "ABCD"), digest(UserId::generate(), "ABCD"));
    }
}
