//! AES-256-GCM with 96-bit nonces and 128-bit tags (NIST SP 800-38D), and keys derived for one purpose each.

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{KEY_LENGTH, NONCE_LENGTH};

/// HMAC-SHA-256 takes keys of up to a block as they are, filled up with zeros (RFC 2104).
const HMAC_BLOCK: usize = 64;

/// The bytes are not what was encrypted under this key with this nonce and associated data; or the text was longer than 64 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// Encrypts; the 16 bytes of the tag stand behind the ciphertext.
pub(super) fn encrypt(
    key: &[u8; KEY_LENGTH],
    nonce: [u8; NONCE_LENGTH],
    aad: &[u8],
    text: &[u8],
) -> Result<Vec<u8>, Refused> {
    Aes256Gcm::new(key.into()).encrypt(&Nonce::from(nonce), Payload { msg: text, aad }).map_err(|_| Refused)
}

/// Decrypts what [`encrypt`] gave, if nothing of it has changed.
pub(super) fn decrypt(
    key: &[u8; KEY_LENGTH],
    nonce: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let nonce = <[u8; NONCE_LENGTH]>::try_from(nonce).map_err(|_| Refused)?;
    Aes256Gcm::new(key.into())
        .decrypt(&Nonce::from(nonce), Payload { msg: ciphertext, aad })
        .map(Zeroizing::new)
        .map_err(|_| Refused)
}

/// A key for one purpose: HKDF-Expand (RFC 5869) to one block of SHA-256. The extracting step is for keys that are not uniform, and these are.
pub(super) fn derive(key: &[u8; KEY_LENGTH], purpose: &[u8]) -> Zeroizing<[u8; KEY_LENGTH]> {
    let mut mac = keyed(key);
    mac.update(purpose);
    mac.update(&[1]);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// HMAC-SHA-256, ready to take data.
pub(super) fn keyed(key: &[u8; KEY_LENGTH]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; HMAC_BLOCK]);
    block[..KEY_LENGTH].copy_from_slice(key);
    Hmac::new((&*block).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        tests: Vec<Vector>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Vector {
        tc_id: u32,
        key: String,
        iv: String,
        aad: String,
        msg: String,
        ct: String,
        tag: String,
        result: String,
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_vectors_of_project_wycheproof_hold() {
        let Vectors { tests } = serde_json::from_str(include_str!("vectors/aes_gcm.json")).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for Vector { tc_id, key, iv, aad, msg, ct, tag, result } in tests {
            let (key, iv) = (bytes(&key).try_into().unwrap(), <[u8; NONCE_LENGTH]>::try_from(bytes(&iv)).unwrap());
            let (aad, msg, sealed) = (bytes(&aad), bytes(&msg), [bytes(&ct), bytes(&tag)].concat());
            let opened = decrypt(&key, &iv, &aad, &sealed);
            if result == "valid" {
                assert_eq!(opened.as_deref(), Ok(&msg), "test {tc_id}");
                assert_eq!(encrypt(&key, iv, &aad, &msg), Ok(sealed), "test {tc_id}");
                valid += 1;
            } else {
                assert_eq!(opened, Err(Refused), "test {tc_id}");
                invalid += 1;
            }
        }
        assert_eq!((valid, invalid), (20, 10));
    }

    #[test]
    fn a_derived_key_is_the_first_block_of_hkdf_expand() {
        // RFC 5869, appendix A.1.
        let prk = bytes("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5").try_into().unwrap();
        let okm = bytes("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
        assert_eq!(derive(&prk, &bytes("f0f1f2f3f4f5f6f7f8f9")).to_vec(), okm);
    }

    #[test]
    fn a_nonce_of_another_length_is_refused() {
        let sealed = encrypt(&[7; KEY_LENGTH], [1; NONCE_LENGTH], b"", b"text").unwrap();
        for length in [0, 8, 11, 13, 16] {
            assert_eq!(decrypt(&[7; KEY_LENGTH], &vec![1; length], b"", &sealed), Err(Refused));
        }
    }
}
