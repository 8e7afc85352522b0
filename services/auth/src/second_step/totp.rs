//! Time-based one-time passwords (RFC 6238) over HOTP (RFC 4226): HMAC-SHA-1, six digits, thirty seconds, which is what
//! authenticator apps understand.

use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use rand::CryptoRng;
use sha1::Sha1;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Length of a time step in seconds.
pub const STEP_SECONDS: i64 = 30;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// Bytes of a secret: as long as the output of the hash (RFC 4226 section 4, R6).
pub const SECRET_BYTES: usize = 20;

/// How many steps a clock may be off in either direction (RFC 6238 section 5.2 recommends one).
const SKEW: i64 = 1;

/// The secret that an account shares with an authenticator app.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; SECRET_BYTES]>);

impl Secret {
    /// Draws a new secret.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// The secret of these bytes; `None` unless there are [`SECRET_BYTES`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// Its bytes, to be encrypted.
    #[must_use]
    pub fn bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// The secret as people type it: base32 (RFC 4648 section 6) without padding.
    #[must_use]
    pub fn base32(&self) -> String {
        base32(&*self.0)
    }

    /// What an app reads from a QR code: the `otpauth` URI of "Key Uri Format" (Google Authenticator wiki). `platform` and
    /// `account` tell the user in the app what the code is for.
    #[must_use]
    pub fn uri(&self, platform: &str, account: &str) -> String {
        let (platform, account) = (percent_encoded(platform), percent_encoded(account));
        let secret = self.base32();
        format!(
            "otpauth://totp/{platform}:{account}?secret={secret}&issuer={platform}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
        )
    }

    /// The time step after `last` whose code is `code` and that is not further from `now` than clocks may differ.
    #[must_use]
    pub fn step_of(&self, code: &str, now: Timestamp, last: i64) -> Option<i64> {
        if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let current = step_at(now);
        let mut found = None;
        // All of them are looked at, so that the time it takes does not tell which was right.
        for step in current - SKEW..=current + SKEW {
            let right = bool::from(self.code(step).as_bytes().ct_eq(code.as_bytes()));
            if right && step > last {
                found = Some(step);
            }
        }
        found
    }

    /// The code of a time step.
    #[must_use]
    pub fn code(&self, step: i64) -> String {
        let hash = hmac(&*self.0, &step.to_be_bytes());
        // Dynamic truncation, RFC 4226 section 5.3: the low four bits of the last of 20 bytes are at most 15.
        let offset = usize::from(hash[19] & 0xf);
        let number = u32::from_be_bytes([hash[offset] & 0x7f, hash[offset + 1], hash[offset + 2], hash[offset + 3]]);
        format!("{:06}", number % 1_000_000)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// HMAC-SHA-1.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 20] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The time step of a moment.
#[must_use]
pub fn step_at(now: Timestamp) -> i64 {
    now.as_second().div_euclid(STEP_SECONDS)
}

/// Base32 (RFC 4648 section 6) without padding.
pub(super) fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut bits = [0; 8];
        bits[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(bits);
        for at in 0..(chunk.len() * 8).div_ceil(5) {
            let five = (bits >> (35 - 5 * at)) & 0x1f;
            // Five bits are less than 32.
            text.push(char::from(ALPHABET[usize::try_from(five).unwrap_or_default()]));
        }
    }
    text
}

/// Percent-encoding of all but RFC 3986's unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_vectors_of_rfc_6238_hold() {
        // Appendix B, SHA-1, of whose eight digits the last six are a code of six.
        let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
        for (seconds, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(secret.code(step_at(at(seconds))), code[2..], "at {seconds}");
        }
    }

    #[test]
    fn the_vectors_of_rfc_4648_hold() {
        for (plain, encoded) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB")]
        {
            assert_eq!(base32(plain.as_bytes()), encoded);
        }
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI");
    }

    #[test]
    fn an_app_reads_the_secret_from_the_uri() {
        let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
        assert_eq!(
            secret.uri("chat.example.org", "ada b"),
            "otpauth://totp/chat.example.org:ada%20b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=chat.example.org\
             &algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn a_code_counts_a_step_early_and_a_step_late_and_no_longer() {
        let secret = Secret::generate(&mut rand::rng());
        let code = secret.code(1000);
        let within = [(29_970, true), (30_000, true), (30_059, true), (29_969, false), (30_060, false)];
        for (seconds, counts) in within {
            // One in a million: another step of the window may have the same code.
            let found = secret.step_of(&code, at(seconds), 0);
            assert_eq!(found == Some(1000), counts, "at {seconds}: {found:?}");
        }
    }

    #[test]
    fn a_code_that_was_used_is_not_taken_again_nor_is_an_older_one() {
        let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
        let now = at(1_111_111_109);
        let step = step_at(now);
        assert_eq!(secret.step_of(&secret.code(step), now, step - 1), Some(step));
        assert_eq!(secret.step_of(&secret.code(step), now, step), None);
        assert_eq!(secret.step_of(&secret.code(step - 1), now, step), None);
        assert_eq!(secret.step_of(&secret.code(step + 1), now, step), Some(step + 1));
    }

    #[test]
    fn a_secret_is_never_shown_by_accident() {
        assert_eq!(format!("{:?}", Secret::generate(&mut rand::rng())), "Secret");
    }

    proptest! {
        #[test]
        fn no_text_but_six_digits_is_a_code(text in "\\PC{0,8}") {
            let secret = Secret::from_bytes(b"12345678901234567890").unwrap();
            if secret.step_of(&text, at(59), -10).is_some() {
                prop_assert!(text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
    }
}
