//! Objects in the bucket.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::timeout::TimeoutConfig,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::abort_multipart_upload::AbortMultipartUploadError,
    primitives::ByteStream,
};

use super::writer::ObjectWriter;
use crate::{content_type::ContentType, object_key::ObjectKey, range::Part};

/// How long the store may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one try may take: a part of 8 MiB over a slow link. For a download it ends with the answer's head.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long all tries together may take; the client waits meanwhile.
const OPERATION_TIMEOUT: Duration = Duration::from_mins(1);

/// What went wrong with an object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The store has no such object, though a record says it has.
    #[error("the object store has no object {0}")]
    Missing(ObjectKey),
    /// The store cannot be reached, refuses our credentials, or failed. The text is for the log alone.
    #[error("the object store, {action}: {cause}")]
    Unavailable {
        /// What was asked of it.
        action: &'static str,
        /// What it answered, with all causes.
        cause: String,
    },
}

/// The bucket in which the files are.
#[derive(Clone, Debug)]
pub struct Objects {
    pub(super) client: Client,
    pub(super) bucket: String,
}

impl Objects {
    /// Objects in `bucket`, through `client` with time limits of our own: a store that hangs is a store that is away.
    #[must_use]
    pub fn new(client: &Client, bucket: String) -> Self {
        let limits = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = client.config().to_builder().timeout_config(limits).build();
        Self { client: Client::from_conf(config), bucket }
    }

    /// Whether the bucket answers to our credentials.
    pub async fn check(&self) -> Result<(), ObjectError> {
        self.client
            .head_bucket()
            .bucket(&self.bucket)
            .send()
            .await
            .map_err(|error| unavailable("head bucket", &error))?;
        Ok(())
    }

    /// Starts to write the object `key`; nothing is sent yet.
    #[must_use]
    pub fn writer(&self, key: ObjectKey, content_type: &ContentType) -> ObjectWriter {
        ObjectWriter::new(self.clone(), key, content_type.header())
    }

    /// The bytes of an object, or of a part of it, as they arrive.
    pub async fn read(&self, key: &ObjectKey, part: Option<Part>) -> Result<ByteStream, ObjectError> {
        let request = self.client.get_object().bucket(&self.bucket).key(key.as_str());
        match request.set_range(part.map(Part::range)).send().await {
            Ok(answer) => Ok(answer.body),
            Err(error) if error.code() == Some("NoSuchKey") => Err(ObjectError::Missing(key.clone())),
            Err(error) => Err(unavailable("get object", &error)),
        }
    }

    /// Removes an object with whatever parts an upload left that died.
    pub async fn clear(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let uploads = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(key.as_str()).send().await;
        let uploads = uploads.map_err(|error| unavailable("list multipart uploads", &error))?;
        for id in uploads.uploads().iter().filter_map(|upload| upload.upload_id()) {
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key.as_str()).upload_id(id);
            match abort.send().await {
                Ok(_) => {}
                Err(error) if error.as_service_error().is_some_and(AbortMultipartUploadError::is_no_such_upload) => {}
                Err(error) => return Err(unavailable("abort multipart upload", &error)),
            }
        }
        self.delete(key).await
    }

    /// Removes an object; one that is not there is removed already.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let outcome = self.client.delete_object().bucket(&self.bucket).key(key.as_str()).send().await;
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(unavailable("delete object", &error)),
        }
    }
}

pub(super) fn unavailable<E, R>(action: &'static str, error: &SdkError<E, R>) -> ObjectError
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    ObjectError::Unavailable { action, cause: DisplayErrorContext(error).to_string() }
}
