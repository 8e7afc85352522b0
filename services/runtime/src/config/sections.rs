//! The sections that services share; `docs/reference/wiring.md` says who gets which.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{Fault, Section};

/// `[server]`: listeners and the stop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address of the public listener.
    pub listen: SocketAddr,
    /// Address of the admin listener: health and metrics.
    pub admin_listen: SocketAddr,
    /// How long requests and sockets may finish after that, in seconds.
    pub drain_seconds: u64,
    /// How long to go on taking requests after SIGTERM while load balancers turn away and clients let go of idle connections, in seconds: longer
    /// than these keep them.
    #[serde(default = "default_settle_seconds")]
    pub settle_seconds: u64,
}

fn default_settle_seconds() -> u64 {
    6
}

impl Section for Server {
    fn faults(&self) -> Vec<Fault> {
        if self.listen == self.admin_listen && self.listen.port() != 0 {
            vec![Fault::new("admin_listen", "must differ from server.listen")]
        } else {
            vec![]
        }
    }
}

/// `[log]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Directives of `tracing`: `info`, `info,runtime=debug`.
    pub filter: String,
}

impl Section for Log {
    fn faults(&self) -> Vec<Fault> {
        match EnvFilter::try_new(&self.filter) {
            Ok(_) => vec![],
            Err(error) => vec![Fault::new("filter", format!("is not a list of directives: {error}"))],
        }
    }
}

/// `[mongodb]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MongoDb {
    /// File that holds the connection string.
    pub uri_file: PathBuf,
    /// Name of the database.
    pub database: String,
}

impl Section for MongoDb {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::from_iter(file_fault("uri_file", &self.uri_file));
        if self.database.is_empty() {
            faults.push(Fault::new("database", "must be set"));
        }
        faults
    }
}

/// `[redis]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// File that holds the connection URL; see [`contract::redis_url`].
    pub url_file: PathBuf,
    /// File with the certificates of the authorities that the servers' own are checked against, in PEM; those of the system
    /// without it. For `rediss://` alone.
    #[serde(default)]
    pub authority_file: Option<PathBuf>,
}

impl Section for Redis {
    fn faults(&self) -> Vec<Fault> {
        let authority = self.authority_file.as_deref().and_then(|path| file_fault("authority_file", path));
        file_fault("url_file", &self.url_file).into_iter().chain(authority).collect()
    }
}

/// `[rabbitmq]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RabbitMq {
    /// File that holds the AMQP URI, virtual host included.
    pub uri_file: PathBuf,
}

impl Section for RabbitMq {
    fn faults(&self) -> Vec<Fault> {
        Vec::from_iter(file_fault("uri_file", &self.uri_file))
    }
}

/// `[object_storage]`: any S3.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectStorage {
    /// URL of the store.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// The bucket in the path instead of the host name.
    pub path_style: bool,
    /// File that holds the access key id.
    pub access_key_id_file: PathBuf,
    /// File that holds the secret access key.
    pub secret_access_key_file: PathBuf,
}

impl Section for ObjectStorage {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::from_iter(url_fault("endpoint", &self.endpoint));
        for (key, value) in [("region", &self.region), ("bucket", &self.bucket)] {
            if value.is_empty() {
                faults.push(Fault::new(key, "must be set"));
            }
        }
        faults.extend(file_fault("access_key_id_file", &self.access_key_id_file));
        faults.extend(file_fault("secret_access_key_file", &self.secret_access_key_file));
        faults
    }
}

/// `[tokens]`: who issues access tokens and how they are verified.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// `iss` of every token.
    pub issuer: String,
    /// `aud` of every token.
    pub audience: String,
    /// JWK Set of the public keys.
    pub jwks_file: PathBuf,
    /// Ring of the private keys; for who signs alone.
    #[serde(default)]
    pub signing_keys_file: Option<PathBuf>,
}

impl Section for Tokens {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (key, value) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            if value.is_empty() {
                faults.push(Fault::new(key, "must be set"));
            }
        }
        faults.extend(file_fault("jwks_file", &self.jwks_file));
        faults.extend(self.signing_keys_file.as_ref().and_then(|path| file_fault("signing_keys_file", path)));
        faults
    }
}

/// The fault of a setting that names a file which cannot be read, if it has one.
#[must_use]
pub fn file_fault(key: &str, path: &Path) -> Option<Fault> {
    if path.as_os_str().is_empty() {
        return Some(Fault::new(key, "must be set to the path of a file"));
    }
    match File::open(path) {
        Ok(_) => None,
        Err(error) => Some(Fault::new(key, format!("cannot read {}: {error}", path.display()))),
    }
}

/// The fault of a setting that is to be an http or https URL, if it has one.
#[must_use]
pub fn url_fault(key: &str, text: &str) -> Option<Fault> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => None,
        Ok(_) => Some(Fault::new(key, "must be an http or https URL")),
        Err(error) => Some(Fault::new(key, format!("is not a URL: {error}"))),
    }
}
