//! Objects in a bucket of an S3 store: read and written in constant memory, listed and deleted.

mod writer;

use std::time::{Duration, SystemTime};

use aws_sdk_s3::{
    Client,
    config::timeout::TimeoutConfig,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};
use contract::problem::Problem;

pub use aws_sdk_s3::primitives::ByteStream;
pub use writer::{LARGEST_OBJECT, ObjectWriter};

/// How long the store may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one try may take: a part of 8 MiB over a slow link. For a download it ends with the answer's head.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long all tries together may take; the client waits meanwhile.
const OPERATION_TIMEOUT: Duration = Duration::from_mins(1);

/// What went wrong with an object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The store has no such object.
    #[error("the object store has no object {0}")]
    Missing(String),
    /// The store cannot be reached, refuses our credentials, or failed. The text is for the log alone.
    #[error("the object store, {action}: {cause}")]
    Unavailable {
        /// What was asked of it.
        action: &'static str,
        /// The code of its answer, such as `NoSuchBucket`; none where it gave no answer, or none with a code.
        code: Option<String>,
        /// What it answered, with all causes.
        cause: String,
    },
}

impl From<ObjectError> for Problem {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Unavailable { .. } => {
                Self::unavailable("File storage cannot be reached. Try again in a moment.")
            }
            // A record says that it is there.
            ObjectError::Missing(_) => Self::internal(),
        }
    }
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct Objects {
    client: Client,
    bucket: String,
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
    pub fn writer(&self, key: &str, content_type: &str) -> ObjectWriter {
        ObjectWriter::new(self.clone(), key.to_owned(), content_type.to_owned())
    }

    /// The bytes of an object, or of the part of it that `range` says as the header `Range` does, as they arrive.
    pub async fn read(&self, key: &str, range: Option<String>) -> Result<ByteStream, ObjectError> {
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        match request.set_range(range).send().await {
            Ok(answer) => Ok(answer.body),
            Err(error) if error.code() == Some("NoSuchKey") => Err(ObjectError::Missing(key.to_owned())),
            Err(error) => Err(unavailable("get object", &error)),
        }
    }

    /// Removes an object; one that is not there is removed already.
    pub async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let outcome = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        match outcome {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(unavailable("delete object", &error)),
        }
    }

    /// Every object whose key begins with `prefix`, in the order of the keys.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, ObjectError> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| unavailable("list objects", &error))?;
            listed.extend(page.contents.into_iter().flatten().filter_map(|object| {
                Some(Listed { key: object.key?, bytes: object.size.unwrap_or_default().unsigned_abs() })
            }));
        }
        Ok(listed)
    }

    /// Gives up multipart uploads of keys that begin with `prefix`, if they began before `before`: what a process has left that was
    /// killed. Answers how many there were.
    pub async fn abort_uploads(&self, prefix: &str, before: SystemTime) -> Result<usize, ObjectError> {
        let uploads = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(prefix).send().await;
        let uploads = uploads.map_err(|error| unavailable("list multipart uploads", &error))?;
        let mut aborted = 0;
        for upload in uploads.uploads.into_iter().flatten() {
            let began = upload.initiated.and_then(|at| SystemTime::try_from(at).ok());
            let (Some(key), Some(id), true) = (upload.key, upload.upload_id, began.is_some_and(|at| at < before))
            else {
                continue;
            };
            // Some stores list those of other keys as well.
            if !key.starts_with(prefix) {
                continue;
            }
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id).send().await;
            abort.map_err(|error| unavailable("abort multipart upload", &error))?;
            aborted += 1;
        }
        Ok(aborted)
    }
}

/// An object in a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
}

fn unavailable<E, R>(action: &'static str, error: &SdkError<E, R>) -> ObjectError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    let code = error.code().map(ToOwned::to_owned);
    ObjectError::Unavailable { action, code, cause: DisplayErrorContext(error).to_string() }
}
