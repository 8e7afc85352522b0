//! Every word by which machines are told why: the reason of a condition or an event, and the label of a metric. What is not in this list
//! cannot be written, and what is in it stands in `docs/reference/conditions.md`.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$comment:meta])+ $name:ident,)+) => {
        /// Why something is as it is, in a word that stays the same from release to release.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
        pub enum Reason {
            $($(#[$comment])+ $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// Every part is ready.
    AllReady,
    /// A part is ready.
    Ready,
    /// Nothing is left to do.
    Reconciled,
    /// What was asked for is on its way.
    Progressing,
    /// Pods of a part are not ready.
    PodsNotReady,
    /// Pods of an older form are being replaced.
    RollingOut,
    /// The platform is on its way to another release.
    Upgrading,
    /// A database could not be brought to the form of another release.
    MigrationFailed,
    /// Kubernetes' own word: pods of a newer form did not become ready within their time.
    ProgressDeadlineExceeded,
    /// Pods are ready, and the server says that it is not.
    NotReady,
    /// The document can be carried out.
    Accepted,
    /// The document has not been looked at.
    Unchecked,
    /// The document asks for a pause.
    Paused,
    /// The document asks for none.
    NotPaused,
    /// The document asks for hibernation, and pods are still to stop.
    Hibernating,
    /// The document asks for hibernation, and nothing runs any more.
    Hibernated,
    /// No certificate ends soon.
    CertificatesCurrent,
    /// A generation of keys is being replaced by another one, or a step of that was taken.
    Rotating,
    /// A generation of keys was replaced, and nobody accepts the old one any more.
    Rotated,
    /// A new generation of keys has taken the place of all others at once.
    Revoked,
    /// A rotation waits for longer than it should.
    RotationStuck,
    /// The last backup is whole.
    BackupSucceeded,
    /// The last backup failed.
    BackupFailed,
    /// No backup has ended yet.
    BackupPending,
    /// The user's certificate ends soon.
    CertificateExpiring,
    /// The user's certificate has ended.
    CertificateExpired,
    /// The user's certificate is for another name, or none at all.
    CertificateUnsuitable,
    /// The document says what cannot be.
    InvalidSpec,
    /// The document names a Secret that is not there or lacks a key.
    ReferenceInvalid,
    /// The document asks for a kind of object that the cluster does not know.
    KindMissing,
    /// A certificate that somebody else makes is not there yet, or not as it should be.
    CertificateNotReady,
    /// No Gateway takes the route, or one refuses it.
    RouteNotAccepted,
    /// A value of a Secret of the platform's own cannot be used.
    SecretBroken,
    /// A Secret without which data cannot be read has gone.
    SecretLost,
    /// A certificate could not be made.
    CertificateFailed,
    /// The cluster could not be read.
    ObserveFailed,
    /// The API server refused an object.
    ApplyFailed,
    /// The operator lacks a right.
    MissingRights,
    /// A quota of the namespace is used up.
    QuotaExceeded,
    /// A policy of the cluster forbids an object.
    AdmissionDenied,
    /// An object of the platform's is there and somebody else's.
    ForeignObject,
    /// A fault of the operator itself.
    InternalError,
    /// A pod that is to be replaced could not be deleted.
    RollFailed,
    /// The status could not be written.
    ReportFailed,
    /// Another operator leads.
    NotLeading,
    /// The process that provisions failed.
    ProvisionerFailed,
    /// Something was changed in a server.
    Provisioned,
    /// An object that somebody had changed or deleted was put back.
    Repaired,
    /// `MongoDB` does not answer.
    MongoDBUnreachable,
    /// `MongoDB` refuses the login or a right.
    MongoDBAccessDenied,
    /// `MongoDB` fails at what it is asked.
    MongoDBFailed,
    /// `MongoDB` has something of our name that is not ours, or data that would be lost.
    MongoDBConflict,
    /// `MongoDB` answers too slowly.
    MongoDBTimedOut,
    /// Redis does not answer.
    RedisUnreachable,
    /// Redis refuses the login or a right.
    RedisAccessDenied,
    /// Redis fails at what it is asked.
    RedisFailed,
    /// Redis is of another kind than it must be.
    RedisConflict,
    /// Redis answers too slowly.
    RedisTimedOut,
    /// `RabbitMQ` does not answer.
    RabbitMQUnreachable,
    /// `RabbitMQ` refuses the login or a right.
    RabbitMQAccessDenied,
    /// `RabbitMQ` fails at what it is asked.
    RabbitMQFailed,
    /// `RabbitMQ` has something of our name that is of another kind.
    RabbitMQConflict,
    /// `RabbitMQ` answers too slowly.
    RabbitMQTimedOut,
    /// The S3 store does not answer.
    ObjectStorageUnreachable,
    /// The S3 store refuses the login or a right.
    ObjectStorageAccessDenied,
    /// The S3 store fails at what it is asked.
    ObjectStorageFailed,
    /// The S3 store has something of our name that is not ours.
    ObjectStorageConflict,
    /// The S3 store answers too slowly.
    ObjectStorageTimedOut,
    /// Kubernetes' own word: an image cannot be pulled.
    ImagePullBackOff,
    /// Kubernetes' own word: the name of an image is none.
    InvalidImageName,
    /// Kubernetes' own word: an image is not on the node and must not be pulled.
    ErrImageNeverPull,
    /// Kubernetes' own word: what a container mounts or reads is not there.
    CreateContainerConfigError,
    /// Kubernetes' own word: a container could not be made or started.
    CreateContainerError,
    /// Kubernetes' own word: a container keeps ending.
    CrashLoopBackOff,
    /// Kubernetes' own word: a container wanted more memory than its limit.
    OOMKilled,
    /// Kubernetes' own word: no node has room for a pod.
    Unschedulable,
    /// A pod waits for a volume that is not made.
    VolumeNotBound,
    /// A volume, or a Secret that is one, cannot be mounted.
    VolumeNotMounted,
    /// A pod was told to stop, and its node does not confirm that it has.
    PodNotStopping,
    /// Kubernetes' own word: a pod or its volume could not be made.
    FailedCreate,
}

impl Reason {
    /// The reason of a word, if it is one of ours.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<&str> for Reason {
    fn eq(&self, word: &&str) -> bool {
        self.as_str() == *word
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::CONDITIONS;

    const PAGE: &str = include_str!("../../docs/reference/conditions.md");

    /// The words in the first column of the page's tables.
    fn explained() -> impl Iterator<Item = &'static str> {
        let cells = PAGE.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        cells.flat_map(|cell| cell.split(", ")).filter_map(|word| word.strip_prefix('`')?.strip_suffix('`'))
    }

    #[test]
    fn every_reason_and_every_condition_is_explained_on_the_page() {
        let words = Reason::ALL.iter().map(|reason| reason.as_str()).chain(CONDITIONS);
        let missing: Vec<&str> = words.filter(|word| !explained().any(|explained| explained == *word)).collect();
        assert!(missing.is_empty(), "docs/reference/conditions.md does not explain {missing:?}");
    }

    #[test]
    fn the_page_explains_no_reason_that_nobody_writes() {
        let unknown: Vec<&str> =
            explained().filter(|word| Reason::from_word(word).is_none() && !CONDITIONS.contains(word)).collect();
        assert!(unknown.is_empty(), "docs/reference/conditions.md explains {unknown:?}");
    }

    #[test]
    fn a_reason_is_written_as_it_is_read() {
        let words: Vec<String> = Reason::ALL.iter().map(ToString::to_string).collect();
        let read: Vec<Reason> = serde_json::from_value(serde_json::json!(words)).unwrap_or_default();
        assert_eq!(read, Reason::ALL);
    }
}
