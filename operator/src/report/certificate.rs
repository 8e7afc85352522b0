//! Whether the certificates serve: the platform's own are renewed by the operator, the user's by the user, who is told in time.

use jiff::{SignedDuration, Timestamp};

use crate::reason::Reason;
use crate::secrets::{Face, face};
use crate::validate::{Platform, TlsSource};

/// How long before its end a certificate is told of. Who renews by himself has done so by then, and who does it by hand has two weeks.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 14);

/// Whether all is well with them, why, and what to do.
pub(super) fn verdict(platform: &Platform, now: Timestamp) -> (bool, Reason, String) {
    let field = match &platform.tls {
        TlsSource::Own => {
            let due = day(platform.material.renew_at());
            let words = format!("the operator renews the certificates, the next on {due}");
            return (true, Reason::CertificatesCurrent, words);
        }
        TlsSource::Secret => "spec.tls.secretName",
        TlsSource::Issued { .. } => "spec.tls.issuerRef",
    };
    let (reason, words) = judge(face(platform.material.edge.pem()).as_ref(), &platform.host, now);
    (reason == Reason::CertificatesCurrent, reason, format!("the certificate of {field} {words}"))
}

/// What is to say of the user's certificate.
fn judge(certificate: Option<&Face>, host: &str, now: Timestamp) -> (Reason, String) {
    let Some(certificate) = certificate else {
        let words = "cannot be read: put a certificate chain in PEM into its key tls.crt";
        return (Reason::CertificateUnsuitable, words.to_owned());
    };
    let end = certificate.not_after;
    if end <= now {
        let words = format!("has ended on {}, and browsers refuse it: renew it", day(end));
        return (Reason::CertificateExpired, words);
    }
    if !certificate.names.iter().any(|name| covers(name, host)) {
        let names: Vec<&str> = certificate.names.iter().map(String::as_str).collect();
        let words = format!("is not for {host} but for {}: use one for spec.host", names.join(", "));
        return (Reason::CertificateUnsuitable, words);
    }
    if end.duration_since(now) < SOON {
        let words = format!("ends on {}: renew it, the edge takes the new one by itself", day(end));
        return (Reason::CertificateExpiring, words);
    }
    (Reason::CertificatesCurrent, format!("serves until {}", day(end)))
}

/// Whether a name of a certificate stands for a host; a star stands for one label (RFC 6125, section 6.4.3).
fn covers(name: &str, host: &str) -> bool {
    let domain = |host: &str| host.split_once('.').map(|(_, domain)| domain.to_owned());
    name == host || name.strip_prefix("*.").is_some_and(|rest| domain(host).as_deref() == Some(rest))
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn certificate(name: &str) -> Face {
        Face { not_after: at("2026-03-01T00:00:00Z"), names: [name.to_owned()].into() }
    }

    fn reason(name: &str, now: &str) -> Reason {
        judge(Some(&certificate(name)), "chat.acme.example", at(now)).0
    }

    #[test]
    fn a_certificate_is_told_of_two_weeks_before_its_end_and_after_it() {
        let name = "chat.acme.example";
        assert_eq!(reason(name, "2026-02-14T00:00:00Z"), Reason::CertificatesCurrent);
        assert_eq!(reason(name, "2026-02-16T00:00:00Z"), Reason::CertificateExpiring);
        assert_eq!(reason(name, "2026-03-01T00:00:00Z"), Reason::CertificateExpired);
        let (_, words) = judge(Some(&certificate(name)), name, at("2026-02-16T00:00:00Z"));
        assert_eq!(words, "ends on 2026-03-01: renew it, the edge takes the new one by itself");
    }

    #[test]
    fn a_certificate_for_another_host_is_told_with_its_names() {
        let (reason, words) =
            judge(Some(&certificate("other.example")), "chat.acme.example", at("2026-01-01T00:00:00Z"));
        assert_eq!(reason, Reason::CertificateUnsuitable);
        assert!(words.contains("but for other.example"), "{words}");
        assert_eq!(judge(None, "chat.acme.example", at("2026-01-01T00:00:00Z")).0, Reason::CertificateUnsuitable);
    }

    #[test]
    fn a_star_stands_for_one_label() {
        assert_eq!(reason("*.acme.example", "2026-01-01T00:00:00Z"), Reason::CertificatesCurrent);
        assert_eq!(reason("*.example", "2026-01-01T00:00:00Z"), Reason::CertificateUnsuitable);
    }
}
