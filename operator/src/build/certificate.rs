//! The certificate that cert-manager is asked for (<https://cert-manager.io/docs/reference/api-docs/>, `CertificateSpec`).

use kube::core::DynamicObject;
use serde_json::json;

use super::labels;
use super::optional::Optional;
use crate::validate::{Platform, TlsSource};

/// The group of cert-manager's own issuers.
pub(crate) const GROUP: &str = "cert-manager.io";
/// What follows the platform's name in the name of the Secret that cert-manager writes.
pub(crate) const ISSUED: &str = "edge-tls-issued";

/// The Certificate of a platform, if it asks for one.
#[must_use]
pub fn build(platform: &Platform) -> Option<DynamicObject> {
    let TlsSource::Issued { issuer, .. } = &platform.tls else { return None };
    let spec = json!({
        "secretName": platform.names.object(ISSUED),
        // By these a person finds whose it is. Nobody manages it but cert-manager, which leaves it there when the Certificate goes.
        "secretTemplate": {"labels": {
            labels::INSTANCE: platform.names.platform,
            labels::PART_OF: labels::PRODUCT,
        }},
        "dnsNames": [platform.host],
        "usages": ["digital signature", "key encipherment", "server auth"],
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "issuerRef": {
            "name": issuer.name,
            "kind": issuer.kind.as_deref().unwrap_or("Issuer"),
            "group": issuer.group.as_deref().unwrap_or(GROUP),
        },
    });
    Some(Optional::Certificate.object(platform, &spec))
}
