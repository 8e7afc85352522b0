//! A certificate for the edge that somebody else has made. It is looked through before the edge may show it: one that a server cannot
//! use would take down what runs.

use k8s_openapi::api::core::v1::Secret;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret as _, SecretString};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Names;

/// A certificate, those between it and its authority, and its private key.
#[derive(Clone, Debug)]
pub struct Given {
    chain: String,
    key: SecretString,
    /// The authority, where whoever made it told of it.
    authority: Option<String>,
}

impl Given {
    /// The texts of a Secret that has been looked through.
    pub(super) fn of(text: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let lines = |key: &str| text(key).map(|text| format!("{}\n", text.trim()));
        Some(Self { chain: lines("tls.crt")?, key: lines("tls.key")?.into(), authority: lines(Names::AUTHORITY) })
    }

    /// The certificate and those after it, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.chain
    }

    pub(super) fn key(&self) -> &str {
        self.key.expose_secret()
    }

    pub(super) fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }
}

/// Looks through `tls.crt` and `tls.key` of a Secret; what is wrong, with the cure and without the key.
pub fn check(secret: &Secret) -> Result<(), String> {
    let bytes = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map_or(&[][..], |value| &value.0);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes("tls.crt")).collect();
    let is_whole = |certificate: &CertificateDer<'_>| X509Certificate::from_der(certificate).is_ok();
    let chain = match chain {
        Ok(chain) if !chain.is_empty() && chain.iter().all(is_whole) => chain,
        Ok(_) | Err(_) => {
            return Err(
                "key \"tls.crt\" holds no certificate in PEM, or one that is broken: put the right one there".into()
            );
        }
    };
    let key = PrivateKeyDer::from_pem_slice(bytes("tls.key"))
        .map_err(|_| "key \"tls.key\" holds no private key in PEM without a password: put the right one there")?;
    let key = any_supported_type(&key).map_err(|_| {
        "key \"tls.key\" holds a private key of a kind that browsers do not know: use RSA of 2048 bits or more, or elliptic curve P-256 or P-384"
    })?;
    CertifiedKey::new(chain, key).keys_match().map_err(|_| {
        "key \"tls.crt\" does not belong to the private key in \"tls.key\": put the two there that belong together"
            .into()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use k8s_openapi::ByteString;

    use super::*;

    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["chat.acme.example".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn secret(certificate: &str, key: &str) -> Secret {
        let data = [("tls.crt", certificate), ("tls.key", key)];
        let data = data.map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())));
        Secret { data: Some(data.into()), ..Secret::default() }
    }

    fn fault(certificate: &str, key: &str) -> String {
        check(&secret(certificate, key)).unwrap_err()
    }

    #[test]
    fn a_certificate_with_its_key_and_those_above_it_is_good() {
        let ((certificate, key), (above, _)) = (pair(), pair());
        check(&secret(&certificate, &key)).unwrap();
        check(&secret(&format!("a comment\n{certificate}\n{above}"), &format!("\n{key}"))).unwrap();
    }

    #[test]
    fn what_a_server_could_not_use_is_found_before_it_reaches_one() {
        let ((certificate, key), (other, other_key)) = (pair(), pair());
        for broken in ["", "x", &key, &certificate[..certificate.len() / 2], &certificate.replacen('M', "!", 2)] {
            assert!(fault(broken, &key).contains("tls.crt"), "{broken}");
        }
        let half_above = format!("{certificate}-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
        assert!(fault(&half_above, &key).contains("tls.crt"));
        for broken in [
            "",
            "x",
            &certificate,
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ] {
            assert!(fault(&certificate, broken).contains("tls.key"), "{broken}");
        }
        assert!(fault(&certificate, &other_key).contains("belong together"));
        assert!(
            fault(&format!("{other}{certificate}"), &key).contains("belong together"),
            "the first one is the server's"
        );
    }

    #[test]
    fn no_fault_tells_the_key() {
        let ((certificate, key), (_, other_key)) = (pair(), pair());
        let said = [fault(&certificate, &other_key), fault("x", &key), fault(&certificate, &key[..80])].concat();
        assert!(!said.contains(&key[30..60]) && !said.contains(&other_key[30..60]));
    }
}
