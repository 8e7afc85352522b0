//! Errors as clients read them.

use axum::http::StatusCode;
use contract::problem::Problem;

use crate::{store::files::FilesError, upload::UploadError};

/// A route found no such file, or none that is the caller's: the two are not told apart.
#[derive(Debug, thiserror::Error)]
#[error("no such file")]
pub(crate) struct NoSuchFile;

impl From<NoSuchFile> for Problem {
    fn from(_: NoSuchFile) -> Self {
        Self::not_found("There is no file with this id.")
    }
}

impl From<FilesError> for Problem {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Database(_) => Self::unavailable("File records cannot be reached. Try again in a moment."),
            FilesError::GivenUp(_) => Self::conflict("The upload took too long and has been given up."),
            FilesError::Damaged(_) => Self::internal(),
        }
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::NoFile => Self::validation_failed().error("file", "is required, as a file of the form"),
            UploadError::Empty => Self::validation_failed().error("file", "is empty"),
            UploadError::TooLarge { limit } => too_large(limit),
            UploadError::Type(content_type) => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Files of this type are not taken",
            )
            .detail(format!("The content of the file is {content_type}."))
            .error("file", format!("is {content_type}, which is not among the types that are taken")),
            UploadError::Body(error) => Self::malformed_request(error.body_text()),
            UploadError::Stalled => Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", "The upload stopped")
                .detail("Nothing has arrived for too long. Send the file again."),
            UploadError::Busy => Self::unavailable("Too many uploads are under way. Try again in a moment."),
            UploadError::KeyInUse(error) => error.into(),
            UploadError::KeyReused(error) => error.into(),
            UploadError::Files(error) => error.into(),
            UploadError::Object(error) => error.into(),
        }
    }
}

/// 413 for a file of more than `limit` bytes.
pub(crate) fn too_large(limit: u64) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", "The file is too large")
        .detail(format!("A file may have {limit} bytes."))
        .error("file", format!("is longer than {limit} bytes"))
}
