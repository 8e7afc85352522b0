//! The platform's own certificate authority and the certificate of its edge (RFC 5280).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use secrecy::{ExposeSecret, SecretString};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::X509Certificate;

use super::Error;
use super::existing::{Existing, broken};

const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3652);
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(24 * 90);
// A client whose clock is a little behind ours must accept a certificate at once.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A certificate with its private key.
#[derive(Clone, Debug)]
pub struct Certificate {
    pem: String,
    key: SecretString,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Certificate {
    /// The certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// When its life ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// When it is replaced: at two thirds of its life, so that a third is left for whatever goes wrong.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        let life = self.not_after.duration_since(self.not_before);
        self.not_before.checked_add(life / 3 * 2).unwrap_or(self.not_after)
    }

    pub(super) fn key(&self) -> &str {
        self.key.expose_secret()
    }

    /// Reads `tls.crt` and `tls.key` of a Secret; `None` when both are missing.
    pub(super) fn read(existing: &Existing, secret: &str) -> Result<Option<Self>, Error> {
        let (pem, key) = match (existing.text(secret, "tls.crt")?, existing.text(secret, "tls.key")?) {
            (Some(pem), Some(key)) => (pem, key),
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(broken(secret, "tls.crt", "is missing while tls.key is there")),
            (Some(_), None) => return Err(broken(secret, "tls.key", "is missing while tls.crt is there")),
        };
        let pair = KeyPair::from_pem(key).map_err(|_| broken(secret, "tls.key", "is not a private key in PEM"))?;
        let (public, not_before, not_after) = inspect(pem, |certificate| {
            (certificate.public_key().subject_public_key.data.to_vec(), start(certificate), end(certificate))
        })
        .ok_or_else(|| broken(secret, "tls.crt", "is not a certificate in PEM"))?;
        if public != pair.public_key_raw() {
            return Err(broken(secret, "tls.crt", "does not belong to tls.key"));
        }
        Ok(Some(Self { pem: pem.to_owned(), key: SecretString::from(key), not_before, not_after }))
    }

    /// A new authority of ten years.
    pub(super) fn authority(secret: &str, platform: &str, now: Timestamp) -> Result<Self, Error> {
        let make = || {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, format!("ChatPlatform {platform} CA"));
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let (not_before, not_after) = set_life(&mut params, now, CA_LIFE);
            let pem = params.self_signed(&key)?.pem();
            Ok(Self { pem, key: SecretString::from(key.serialize_pem()), not_before, not_after })
        };
        make().map_err(|error: rcgen::Error| failed(secret, &error))
    }

    /// A new certificate of 90 days for a server of these names and addresses, signed by this authority.
    pub(super) fn issue(&self, secret: &str, name: &str, subjects: Vec<String>, now: Timestamp) -> Result<Self, Error> {
        let make = || {
            let issuer = Issuer::from_ca_cert_pem(&self.pem, KeyPair::from_pem(self.key())?)?;
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(subjects)?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            // Members of a replica set show it to each other as clients, too.
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            params.use_authority_key_identifier_extension = true;
            let life = LEAF_LIFE.min(self.not_after.duration_since(now));
            let (not_before, not_after) = set_life(&mut params, now, life);
            let pem = params.signed_by(&key, &issuer)?.pem();
            Ok(Self { pem, key: SecretString::from(key.serialize_pem()), not_before, not_after })
        };
        make().map_err(|error: rcgen::Error| failed(secret, &error))
    }

    /// Whether this certificate still serves: signed by `authority`, for exactly these subjects, and not due for renewal.
    pub(super) fn serves(&self, authority: &Self, subjects: &[String], now: Timestamp) -> bool {
        let wanted: BTreeSet<_> = subjects.iter().map(|subject| subject.to_ascii_lowercase()).collect();
        now < self.renew_at()
            && inspect(&self.pem, |leaf| names(leaf) == wanted).unwrap_or(false)
            && inspect(&authority.pem, |ca| {
                inspect(&self.pem, |leaf| leaf.verify_signature(Some(ca.public_key())).is_ok()).unwrap_or(false)
            })
            .unwrap_or(false)
    }
}

/// What anybody sees of a certificate.
#[derive(Clone, Debug)]
pub struct Face {
    /// When its life ends.
    pub not_after: Timestamp,
    /// The hosts it is for, in lower case.
    pub names: BTreeSet<String>,
}

/// The first certificate of a chain in PEM; none where there is none.
#[must_use]
pub fn face(pem: &str) -> Option<Face> {
    inspect(pem, |certificate| Face { not_after: end(certificate), names: names(certificate) })
}

fn inspect<T>(pem: &str, look: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
    let (_, block) = parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = block.parse_x509().ok()?;
    Some(look(&certificate))
}

fn names(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return BTreeSet::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => name.to_ascii_lowercase(),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
            .map_or_else(|_| hex::encode(bytes), |address| address.to_string()),
        other => other.to_string(),
    };
    extension.value.general_names.iter().map(text).collect()
}

fn start(certificate: &X509Certificate<'_>) -> Timestamp {
    Timestamp::from_second(certificate.validity().not_before.timestamp()).unwrap_or(Timestamp::MIN)
}

fn end(certificate: &X509Certificate<'_>) -> Timestamp {
    Timestamp::from_second(certificate.validity().not_after.timestamp()).unwrap_or(Timestamp::MAX)
}

/// Sets when the life starts and ends, to the second as X.509 has it.
fn set_life(params: &mut CertificateParams, now: Timestamp, life: SignedDuration) -> (Timestamp, Timestamp) {
    let seconds = |at: Timestamp| u64::try_from(at.as_second()).unwrap_or(0);
    let (start, end) =
        (seconds(now.saturating_sub(SKEW).unwrap_or(now)), seconds(now.saturating_add(life).unwrap_or(now)));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(start);
    params.not_after = epoch + Duration::from_secs(end);
    let timestamp =
        |second: u64| i64::try_from(second).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(now);
    (timestamp(start), timestamp(end))
}

fn failed(secret: &str, error: &rcgen::Error) -> Error {
    Error::Certificate { secret: secret.to_owned(), cause: error.to_string() }
}
