//! What can go wrong, each with its cure.

use runtime::objects::ObjectError;

/// Why a backup was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bucket cannot be used.
    #[error("{0}. {cure}", cure = cure(.0))]
    Store(#[from] ObjectError),
    /// The database did not do what it was asked to.
    #[error("MongoDB did not {action}: {cause}{}", database_cure(.cause))]
    Database {
        /// What, after "did not".
        action: String,
        /// What it said.
        cause: mongodb::error::Error,
    },
    /// The server is not of a replica set, and so has no snapshots.
    #[error("MongoDB at {address} is of no replica set, which alone has snapshots of all databases")]
    NoReplicaSet {
        /// Where it is.
        address: String,
    },
    /// The member that is read does not keep up with the primary.
    #[error(
        "MongoDB at {address} is half a minute behind the primary. It is tried again; see the condition MongoDBReady"
    )]
    Behind {
        /// Where it is.
        address: String,
    },
    /// Collections came or went at the very moment that the backup shows.
    #[error(
        "a collection or an index was made or dropped at the very moment that was to be backed up. It is tried again"
    )]
    Unsettled,
    /// A file of a backup is not as it was written.
    #[error(
        "{file} of the backup is damaged: {fault}. Nothing of it can be relied on: take another backup (restore.from)"
    )]
    Damaged {
        /// Which.
        file: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The backup was made by a later release, in a form that this one does not know.
    #[error(
        "the backup has form {form}, which this release does not know. Restore it with the release that made it, or a later one"
    )]
    LaterForm {
        /// Its form.
        form: u32,
    },
    /// The databases of the backup have the form of a later release.
    #[error(
        "the backup was made by release {theirs}, and this is {ours}, which cannot read its databases. Set spec.version to {theirs} or later first"
    )]
    LaterRelease {
        /// The release that made it.
        theirs: String,
        /// This one.
        ours: &'static str,
    },
    /// There is no such backup.
    #[error("there is no whole backup {wanted:?} below {prefix} in the bucket. {}", listed(.there))]
    NoSuchBackup {
        /// What was asked for.
        wanted: String,
        /// Where it was looked for.
        prefix: String,
        /// Names of those that there are.
        there: Vec<String>,
    },
    /// The databases have data, which would be lost.
    #[error(
        "database {database} is not empty: collection {collection} has documents. A backup is restored into a new platform; nothing was changed"
    )]
    NotEmpty {
        /// Which database.
        database: String,
        /// Where documents were found.
        collection: String,
    },
    /// Services work on the databases.
    #[error(
        "a service is at work on database {database}. Pause the platform and scale its services to zero, wait half a minute, and try again; nothing was changed"
    )]
    InUse {
        /// Which database.
        database: String,
    },
    /// The database has other data than the backup after everything was written.
    #[error(
        "database {database} has {found} documents in collection {collection} after the restore, and the backup has {wanted}: somebody else writes to it. Run the restore again with all services stopped"
    )]
    Differs {
        /// Which database.
        database: String,
        /// Which collection.
        collection: String,
        /// What there is.
        found: u64,
        /// What should be.
        wanted: u64,
    },
    /// A file with a connection string cannot be read.
    #[error("cannot read {path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The settings of the bucket cannot be used.
    #[error(transparent)]
    Settings(#[from] runtime::connect::ConnectError),
    /// It was told to stop.
    #[error("told to stop before it was done")]
    Stopped,
    /// What cannot be encoded, which the types that are written here all can.
    #[error("cannot encode the manifest: {0}")]
    Encoding(#[from] serde_json::Error),
}

impl Error {
    /// Turns an error of the database into one of ours; `action` says what it did not do.
    pub fn database(action: impl Into<String>) -> impl FnOnce(mongodb::error::Error) -> Self {
        let action = action.into();
        move |cause| Self::Database { action, cause }
    }
}

/// What helps, by the codes that S3 has (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>) and other stores took over.
fn cure(error: &ObjectError) -> &'static str {
    const FIELD: &str = "See spec.backup.objectStorage";
    let ObjectError::Unavailable { code, .. } = error else { return "The backup is not whole: take another one" };
    match code.as_deref().unwrap_or_default() {
        "NoSuchBucket" => "Make the bucket, or correct spec.backup.objectStorage.bucket",
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect" => {
            "The bucket is in another region: correct spec.backup.objectStorage.region and .endpoint"
        }
        // The last is versitygw's own.
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" | "XAdminUserNotFound" => {
            "Correct accessKeyId and secretAccessKey in the Secret of spec.backup.objectStorage.credentialsSecretRef"
        }
        "AccessDenied" => "Allow the account to list, put, get and delete objects there",
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" | "ServiceQuotaExceeded" => {
            "The store is full: make room, or keep fewer backups by spec.backup.retention"
        }
        _ => FIELD,
    }
}

/// What helps where the server has a code of its own (`error_codes.yml` of its source).
fn database_cure(error: &mongodb::error::Error) -> &'static str {
    let code = match error.kind.as_ref() {
        mongodb::error::ErrorKind::Command(command) => command.code,
        _ => return "",
    };
    match code {
        // SnapshotTooOld, SnapshotUnavailable
        239 | 246 => {
            ". An index was made, or the backup took longer than the server keeps a moment readable: it is tried again"
        }
        // Unauthorized, AuthenticationFailed
        13 | 18 => ". The operator corrects users within ten minutes; see the condition MongoDBReady",
        _ => "",
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "There is none at all: see spec.backup.objectStorage, its prefix above all".to_owned(),
        names => format!("There are: {}", names.join(", ")),
    }
}
