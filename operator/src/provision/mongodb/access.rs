use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use super::Target;
use super::trust::Trust;
use crate::provision::{Error, Server};

/// How members are reached: with which key, and whom to trust.
pub(super) struct Access {
    key: Zeroizing<String>,
    trust: Option<Trust>,
}

impl Access {
    pub(super) fn new(target: &Target) -> Result<Self, Error> {
        let trust = target.authority.as_deref().map(Trust::new).transpose().map_err(|cause| Error::Failed {
            server: Server::MongoDb,
            address: target.members.first().cloned().unwrap_or_default(),
            action: "be verified".to_owned(),
            cause,
        })?;
        // The server leaves white space out of a key file (manual, "Keyfile authentication").
        let key = target.key_file.expose_secret().split_whitespace().collect::<String>();
        Ok(Self { key: Zeroizing::new(key), trust })
    }

    /// The password of `__system`.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// None where connections are plain.
    pub(super) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }
}
