//! How far cert-manager is with the certificate of the edge.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::core::DynamicObject;

use crate::api::ChatPlatform;
use crate::build::{Component, Optional};
use crate::observe::Observed;
use crate::secrets::{self, EDGE_TLS};

/// What there is of it.
pub(super) struct Issued<'a> {
    /// The Secret that the edge's certificate is taken from; none where it is to be one of the operator's own.
    pub(super) certificate: Option<&'a Secret>,
    /// What it takes until all is well, for people; none where it is.
    pub(super) waits: Option<String>,
}

/// Looks at the Secret that cert-manager writes, and at what it says of the Certificate.
pub(super) fn look<'a>(document: &ChatPlatform, observed: &'a Observed) -> Issued<'a> {
    let platform = document.name_any();
    let certificate = format!("{platform}-{}", Component::Edge.name());
    let said = observed.of_kind(Optional::Certificate).iter().find(|object| object.name_any() == certificate);
    let said = said.and_then(unready);
    let name = document.issued_secret().unwrap_or_default();
    let cure = format!("`kubectl describe certificate {certificate}` tells more");
    let secret = observed.named.get(&name);
    match secret.map(|secret| (secret, secrets::check_certificate(secret))) {
        Some((secret, Ok(()))) => Issued {
            certificate: Some(secret),
            waits: said.map(|said| format!("cert-manager says of the certificate that the edge shows: {said}; {cure}")),
        },
        Some((_, Err(fault))) => {
            let waits = format!("what cert-manager wrote cannot be used: the Secret {name:?}, {fault}; {cure}");
            Issued { certificate: kept(&platform, observed), waits: Some(waits) }
        }
        None => {
            let said = said.unwrap_or_else(|| "it has not looked at it yet".into());
            let waits = format!("waits for cert-manager to issue the certificate: {said}; {cure}");
            Issued { certificate: kept(&platform, observed), waits: Some(waits) }
        }
    }
}

/// What the edge shows now stays until there is something better, lest people see another certificate in between.
fn kept<'a>(platform: &str, observed: &'a Observed) -> Option<&'a Secret> {
    let name = format!("{platform}-{EDGE_TLS}");
    let shown = observed.secrets.iter().find(|secret| secret.name_any() == name)?;
    secrets::check_certificate(shown).ok().map(|()| shown)
}

/// cert-manager's words where it says that a Certificate is not as it should be.
fn unready(certificate: &DynamicObject) -> Option<String> {
    let conditions = certificate.data.pointer("/status/conditions")?.as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    (ready["status"] == "False").then(|| ready["message"].as_str().unwrap_or("it is not ready").to_owned())
}
