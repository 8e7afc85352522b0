//! The S3 store: its bucket exists.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::create_bucket::CreateBucketError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use secrecy::{ExposeSecret, SecretString};

use super::{Error, PATIENCE, Provisioning, Server, State, bounded, with_causes};
use crate::secrets::{Material, Names};

/// Name of the bucket in the managed store.
pub const BUCKET: &str = "media";
/// Region that the managed store answers to.
pub const REGION: &str = "us-east-1";
const PORT: u16 = 7070;

/// An S3 store as it shall be.
#[derive(Clone, Debug)]
pub struct Target {
    /// URL of the store.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Bucket to find or create.
    pub bucket: String,
    /// Whether the bucket is named in the path and not in the host name.
    pub path_style: bool,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: SecretString,
}

impl Target {
    /// The managed store of a platform.
    #[must_use]
    pub fn new(names: &Names, material: &Material) -> Self {
        Self {
            endpoint: format!("http://{}:{PORT}", names.service("object-storage")),
            region: REGION.to_owned(),
            bucket: BUCKET.to_owned(),
            path_style: true,
            access_key_id: material.object_storage.access_key_id.clone(),
            secret_access_key: material.object_storage.secret_access_key.clone(),
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

    fn failed<E>(&self, action: &str, error: &SdkError<E>) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let (server, address) = (Server::ObjectStorage, self.endpoint.clone());
        let status = error.raw_response().map(|response| response.status().as_u16());
        let words = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{message} ({code})"),
            (Some(code), None) => code.to_owned(),
            _ => with_causes(error),
        };
        match status {
            Some(401 | 403) => Error::AccessDenied { server, address, user: self.access_key_id.clone(), cause: words },
            Some(status) => {
                Error::Failed { server, address, action: action.to_owned(), cause: format!("HTTP {status}: {words}") }
            }
            None => Error::Unreachable { server, address, cause: words },
        }
    }
}

/// Makes the store agree with `target`.
#[must_use]
pub fn provision(target: &Target) -> Provisioning<'_> {
    bounded(Server::ObjectStorage, run(target))
}

async fn run(target: &Target) -> Result<State, Error> {
    let client = target.client();
    let bucket = &target.bucket;
    let mut changes = Vec::new();
    match client.head_bucket().bucket(bucket).send().await {
        Ok(_) => {}
        Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 404) => {
            match client.create_bucket().bucket(bucket).send().await {
                Ok(_) => changes.push(format!("created bucket {bucket}")),
                // Somebody was quicker; it is there, and that is what was wanted.
                Err(error)
                    if error.as_service_error().is_some_and(CreateBucketError::is_bucket_already_owned_by_you) => {}
                Err(error) => return Err(target.failed(&format!("create bucket {bucket}"), &error)),
            }
        }
        Err(error) => return Err(target.failed(&format!("find bucket {bucket}"), &error)),
    }
    Ok(State { ready: true, version: None, message: format!("Bucket {bucket} is there"), changes })
}
