//! What uploads and deletions left that never came to their end: a process died, or the object store was away.

use std::time::{Duration, SystemTime};

use runtime::clock::Clock;
use runtime::objects::{ObjectError, Objects};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    settings,
    store::{Files, files::FilesError},
};

/// Collects orphans.
#[derive(Clone, Debug)]
pub struct Orphans {
    files: Files,
    objects: Objects,
    clock: Clock,
    every: Duration,
    after: Duration,
}

#[derive(Debug, thiserror::Error)]
enum OrphansError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl Orphans {
    /// Collects them under `settings`.
    #[must_use]
    pub fn new(files: Files, objects: Objects, settings: &settings::Orphans, clock: Clock) -> Self {
        let (every, after) = (settings.look_every_seconds, settings.after_seconds);
        Self { files, objects, clock, every: Duration::from_secs(every), after: Duration::from_secs(after) }
    }

    /// Looks for them until `stop`. Several replicas may do so at once: what one has removed is removed for the other.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match self.collect().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "removed what uploads and deletions had left behind"),
                Err(error) => tracing::warn!(%error, "what was left behind stays for now"),
            }
            if stop.run_until_cancelled(sleep(self.every)).await.is_none() {
                return;
            }
        }
    }

    async fn collect(&self) -> Result<usize, OrphansError> {
        let now = self.clock.now();
        let left = self.files.left_behind(now.checked_sub(self.after).unwrap_or(now)).await?;
        for (id, key) in &left {
            self.objects.abort_uploads(key.as_str(), SystemTime::now()).await?;
            self.objects.delete(key.as_str()).await?;
            self.files.forget(*id).await?;
        }
        Ok(left.len())
    }
}
