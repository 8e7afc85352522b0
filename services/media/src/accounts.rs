//! What accounts mean for files: which of them is somebody's picture, and that they go with their owner.
//!
//! The auth service tells by events, which may come more than once and late; each is dealt with so that this changes nothing.

use std::time::Duration;

use contract::event::{Envelope, Event};
use contract::id::UserId;
use runtime::messaging::{ConsumerSettings, Outcome};
use runtime::objects::{ObjectError, Objects};

use crate::store::{Avatars, Files, files::FilesError};

/// The queue. All that belongs to it in the broker is named below it.
pub const QUEUE: &str = "media.accounts";

const KINDS: &[&str] = &["user.deleted", "user.updated"];

/// Deals with events of accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// What is known of files.
    pub files: Files,
    /// Their bytes.
    pub objects: Objects,
    /// Which of them are pictures.
    pub avatars: Avatars,
}

#[derive(Debug, thiserror::Error)]
enum AccountsError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// How events are consumed. Only a server that is away makes one fail, so the retries last longer than such a thing should: about four
/// hours, every ten minutes in the end.
#[must_use]
pub fn settings() -> ConsumerSettings {
    let first = [1, 10, 60].into_iter();
    let delays = first.chain(std::iter::repeat_n(600, 24)).map(Duration::from_secs).collect();
    ConsumerSettings { delays, concurrency: 4, ..ConsumerSettings::new(QUEUE, KINDS) }
}

impl Accounts {
    /// Deals with one event.
    pub async fn handle(&self, envelope: Envelope) -> Outcome {
        let done = match envelope.event {
            Event::UserUpdated(user) => {
                let noted = self.avatars.note(user.user_id, user.avatar_id, envelope.time).await;
                noted.map_err(AccountsError::from)
            }
            Event::UserDeleted(user) => self.forget(user.user_id).await,
            other => return Outcome::DeadLetter(format!("events of type {} are none of ours", other.kind())),
        };
        match done {
            Ok(()) => Outcome::Ack,
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }

    /// Removes all files of a user who is gone. Uploads under way come to nothing, and clean up after themselves.
    async fn forget(&self, user: UserId) -> Result<(), AccountsError> {
        self.avatars.forget(user).await?;
        let files = self.files.of(user).await?;
        self.files.give_up_uploads(user).await?;
        let count = files.len();
        for id in files {
            if let Some(key) = self.files.begin_deletion(id, user).await? {
                self.objects.delete(key.as_str()).await?;
                self.files.forget(id).await?;
            }
        }
        tracing::info!(%user, files = count, "an account is gone with its files");
        Ok(())
    }
}
