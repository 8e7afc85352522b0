//! Whose certificates are believed, and which one a server shows.

use std::io::Write as _;
use std::sync::Arc;

use mongodb::options::{Tls, TlsOptions};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::provision::PATIENCE;

/// One authority, which must have signed what a server shows.
pub(super) struct Trust {
    // The driver reads an authority from a file alone, and for each connection anew: the file stays as long as this does.
    file: NamedTempFile,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Trusts the certificates of a PEM text; says why that cannot be.
    pub(super) fn new(authority: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            let certificate = certificate.map_err(|error| format!("the authority is not PEM: {error}"))?;
            roots.add(certificate).map_err(|error| format!("the authority is no certificate: {error}"))?;
        }
        if roots.is_empty() {
            return Err("the authority holds no certificate".to_owned());
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session would show the certificate of the first one.
        config.resumption = Resumption::disabled();
        let kept = |error: std::io::Error| format!("the authority cannot be kept in a temporary file: {error}");
        let mut file = NamedTempFile::new().map_err(kept)?;
        file.write_all(authority.as_bytes()).map_err(kept)?;
        Ok(Self { file, config: Arc::new(config) })
    }

    /// The same for the driver.
    pub(super) fn for_driver(&self) -> Tls {
        TlsOptions::builder().ca_file_path(self.file.path().to_owned()).build().into()
    }

    /// Connects to `host:port` and reads the certificate it shows; fails where it is not signed by the authority for this host.
    pub(super) async fn certificate(&self, address: &str) -> Result<CertificateDer<'static>, String> {
        timely(handshake(address, Arc::clone(&self.config))).await
    }
}

/// Whether anybody listens at `host:port`.
pub(super) async fn listens(address: &str) -> Result<(), String> {
    timely(async { TcpStream::connect(address).await.map(drop).map_err(|error| error.to_string()) }).await
}

async fn timely<T>(attempt: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = || format!("no connection within {} s", PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, attempt).await.unwrap_or_else(|_| Err(late()))
}

async fn handshake(address: &str, config: Arc<ClientConfig>) -> Result<CertificateDer<'static>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let host = ServerName::try_from(host.to_owned()).map_err(|error| words(&error))?;
    let mut stream = TcpStream::connect(address).await.map_err(|error| words(&error))?;
    let mut connection = ClientConnection::new(config, host).map_err(|error| words(&error))?;
    let mut buffer = vec![0; 4096];
    loop {
        let mut answer = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut answer).map_err(|error| words(&error))?;
        }
        stream.write_all(&answer).await.map_err(|error| words(&error))?;
        if !connection.is_handshaking() {
            break;
        }
        let count = stream.read(&mut buffer).await.map_err(|error| words(&error))?;
        if count == 0 {
            return Err("it closed the connection before it showed a certificate".to_owned());
        }
        let mut received = &buffer[..count];
        while !received.is_empty() {
            connection.read_tls(&mut received).map_err(|error| words(&error))?;
            connection.process_new_packets().map_err(|error| words(&error))?;
        }
    }
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    shown.map(|certificate| certificate.clone().into_owned()).ok_or_else(|| "it showed no certificate".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Trust;

    #[test]
    fn a_text_that_is_no_authority_is_refused_with_a_reason() {
        for (text, word) in [("", "no certificate"), ("-----BEGIN CERTIFICATE-----\n%%", "not PEM")] {
            let why = Trust::new(text).err().unwrap_or_default();
            assert!(why.contains(word), "{text}: {why}");
        }
    }
}
