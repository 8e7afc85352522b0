//! The certificate that members show. A renewed one reaches their pods as a file; the server takes it when it is told to, without a
//! restart (manual, "rotateCertificates", since 5.0).

use mongodb::bson::doc;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::access::Access;
use super::contacts::Contacts;
use super::pace::{Halt, Pace};
use super::{Target, short};
use crate::provision::{Error, Server};

/// Has every member show the wanted certificate; tells who does not yet, because its pod has not been given it.
pub(super) async fn reconcile(
    target: &Target,
    access: &Access,
    contacts: &Contacts<'_>,
    pace: &mut Pace,
) -> Result<Option<String>, Halt> {
    let (Some(wanted), Some(trust)) = (&target.certificate, access.trust()) else { return Ok(None) };
    let wanted = CertificateDer::from_pem_slice(wanted.as_bytes()).map_err(|error| Error::Failed {
        server: Server::MongoDb,
        address: target.members.first().cloned().unwrap_or_default(),
        action: "compare certificates".to_owned(),
        cause: format!("the wanted one is not PEM: {error}"),
    })?;
    let mut waits = None;
    for member in contacts.members().filter(|member| member.certificate() != Some(&wanted)) {
        pace.step()?;
        member.admin("read its certificate again", doc! {"rotateCertificates": 1}).await?;
        if trust.certificate(member.address()).await.as_ref() == Ok(&wanted) {
            pace.changed(format!("{} shows its renewed certificate", short(member.address())));
        } else {
            // The node brings a changed Secret to a pod within about a minute.
            waits.get_or_insert_with(|| format!("the renewed certificate to reach {}", short(member.address())));
        }
    }
    Ok(waits)
}
