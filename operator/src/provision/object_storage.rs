//! The S3 store. The managed one has its bucket, and lets browsers at the platform's own address reach it; of one that somebody else runs
//! an object is put, got and deleted, and nothing else is touched.

mod external;
mod managed;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use secrecy::{ExposeSecret, SecretString};

use super::{PATIENCE, Provisioning, Server, bounded, with_causes};
use crate::secrets::{Names, ObjectStorage};
use crate::validate::Bucket;

const PORT: u16 = 7070;

/// An S3 store as it shall be.
#[derive(Clone, Debug)]
pub struct Target {
    /// URL of the store.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Whether the bucket is named in the path and not in the host name.
    pub path_style: bool,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: SecretString,
    /// Whose it is.
    pub kind: Kind,
}

/// Whose a store is, and so what may be done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The platform's own.
    Managed {
        /// Origin of the pages from which browsers may reach the bucket.
        cors_origin: String,
    },
    /// Somebody else's.
    External,
}

impl Target {
    /// The store of a platform: its own, or the `bucket` that somebody else keeps.
    #[must_use]
    pub fn new(names: &Names, account: &ObjectStorage, bucket: Option<&Bucket>) -> Self {
        let (access_key_id, secret_access_key) = (account.access_key_id.clone(), account.secret_access_key.clone());
        match bucket {
            None => Self {
                endpoint: format!("http://{}:{PORT}", names.service("object-storage")),
                region: Names::REGION.to_owned(),
                bucket: Names::BUCKET.to_owned(),
                path_style: true,
                access_key_id,
                secret_access_key,
                kind: Kind::Managed { cors_origin: format!("https://{}", names.host) },
            },
            Some(bucket) => Self {
                endpoint: bucket.endpoint.clone(),
                region: bucket.region.clone(),
                bucket: bucket.name.clone(),
                path_style: bucket.path_style,
                access_key_id,
                secret_access_key,
                kind: Kind::External,
            },
        }
    }

    fn client(&self) -> Client {
        let http = if self.endpoint.starts_with("https:") {
            Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
        } else {
            Builder::new().build_http()
        };
        let timeouts = TimeoutConfig::builder().connect_timeout(PATIENCE).operation_timeout(PATIENCE).build();
        let secret = self.secret_access_key.expose_secret();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .endpoint_url(&self.endpoint)
            .region(Region::new(self.region.clone()))
            .force_path_style(self.path_style)
            .credentials_provider(Credentials::new(&self.access_key_id, secret, None, None, "chatplatform"))
            .timeout_config(timeouts)
            .retry_config(RetryConfig::disabled())
            .build();
        Client::from_conf(config)
    }
}

/// Makes the store agree with `target`.
#[must_use]
pub fn provision(target: &Target) -> Provisioning<'_> {
    match &target.kind {
        Kind::Managed { cors_origin } => bounded(Server::ObjectStorage, managed::run(target, cors_origin)),
        Kind::External => bounded(Server::ObjectStorage, external::run(target)),
    }
}

/// What the store said: the status of its answer, if there was one; the code and the message of the error.
struct Answer {
    status: Option<u16>,
    code: Option<String>,
    words: String,
}

impl Answer {
    fn of<E>(error: &SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let words = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{message} ({code})"),
            (Some(code), None) => code.to_owned(),
            _ => with_causes(error),
        };
        Self {
            status: error.raw_response().map(|response| response.status().as_u16()),
            code: error.code().map(ToOwned::to_owned),
            words,
        }
    }
}
