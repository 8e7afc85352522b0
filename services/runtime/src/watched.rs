//! Files that are read again when their content changes: mounted Secrets and `ConfigMap`s.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::telemetry::chain;

/// How often a file is looked at. Kubernetes itself takes up to a minute to bring a change to a volume.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often a look out of turn may happen.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Why a watched file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WatchedError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its content is not what it should be.
    #[error("{path} is not as expected: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A file parsed into `T`. Clones share it. New content that does not parse is logged once and the old value stays.
///
/// The content decides, never a modification time, so that Kubernetes' swap of symbolic links is seen like any other write.
pub struct Watched<T>(Arc<Inner<T>>);

type Parse<T> = Box<dyn Fn(&[u8]) -> Result<T, String> + Send + Sync>;

struct Inner<T> {
    path: PathBuf,
    parse: Parse<T>,
    value: ArcSwap<T>,
    seen: Mutex<[u8; 32]>,
    asked: Mutex<Option<Instant>>,
    changes: watch::Sender<u64>,
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads the file now and, within a tokio runtime, looks for changes from now on until the last clone is dropped.
    pub fn load<E: fmt::Display>(
        path: impl Into<PathBuf>,
        parse: impl Fn(&[u8]) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, WatchedError> {
        let path = path.into();
        let content = read(&path)?;
        let parse = move |content: &[u8]| parse(content).map_err(|error| error.to_string());
        let value = parse(&content).map_err(|reason| WatchedError::Parse { path: path.clone(), reason })?;
        let inner = Arc::new(Inner {
            path,
            parse: Box::new(parse),
            value: ArcSwap::from_pointee(value),
            seen: Mutex::new(digest(&content)),
            asked: Mutex::default(),
            changes: watch::Sender::new(0),
        });
        if let Ok(handle) = tokio::runtime::Handle::try_current() {
            handle.spawn(look_for_changes(Arc::downgrade(&inner)));
        }
        Ok(Self(inner))
    }

    /// The value of the newest good content.
    #[must_use]
    pub fn get(&self) -> Arc<T> {
        self.0.value.load_full()
    }

    /// A receiver that changes each time the value does.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Looks at the file now, unless someone did so in this way less than a second ago; true if it brought a new value.
    #[must_use]
    pub(crate) fn refresh_paced(&self) -> bool {
        let mut last = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < ASK_EVERY) {
            return false;
        }
        *last = Some(Instant::now());
        self.0.refresh()
    }

    /// Looks at the file now; true if it brought a new value.
    #[must_use]
    pub fn refresh(&self) -> bool {
        self.0.refresh()
    }
}

impl<T> Inner<T> {
    fn refresh(&self) -> bool {
        let content = match read(&self.path) {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(error = chain(&error), "keeping the last content of a watched file");
                return false;
            }
        };
        let digest = digest(&content);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == digest {
                return false;
            }
            *seen = digest;
        }
        match (self.parse)(&content) {
            Ok(value) => {
                self.value.store(Arc::new(value));
                self.changes.send_modify(|version| *version += 1);
                tracing::info!(path = %self.path.display(), "read a changed file again");
                true
            }
            Err(reason) => {
                tracing::error!(path = %self.path.display(), reason, "a watched file changed for the worse; keeping the last good content");
                false
            }
        }
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Watched<T> {
    // The content may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0.path).finish()
    }
}

async fn look_for_changes<T: Send + Sync + 'static>(inner: Weak<Inner<T>>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        // Reading a mounted file is quick, yet it is blocking all the same.
        if tokio::task::spawn_blocking(move || inner.refresh()).await.is_err() {
            tracing::error!("looking for a changed file panicked");
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, WatchedError> {
    std::fs::read(path).map_err(|source| WatchedError::Read { path: path.to_owned(), source })
}

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn number(content: &[u8]) -> Result<u32, String> {
        let text = std::str::from_utf8(content).map_err(|e| e.to_string())?;
        text.trim().parse().map_err(|_| format!("{text:?} is not a number"))
    }

    #[test]
    fn a_swap_of_symbolic_links_brings_the_new_content() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (name, content) in [("old", "1"), ("new", "2")] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("value"), content).unwrap();
        }
        symlink(at("old"), at("..data")).unwrap();
        symlink(at("..data").join("value"), at("value")).unwrap();
        let watched = Watched::load(at("value"), number).unwrap();
        assert_eq!(*watched.get(), 1);
        assert!(!watched.refresh());

        symlink(at("new"), at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(watched.refresh());
        assert_eq!(*watched.get(), 2);
    }

    #[test]
    fn bad_content_never_replaces_good() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        fs::write(&path, "7").unwrap();
        let watched = Watched::load(&path, number).unwrap();
        fs::write(&path, "seven").unwrap();
        assert!(!watched.refresh());
        fs::remove_file(&path).unwrap();
        assert!(!watched.refresh());
        assert_eq!(*watched.get(), 7);
    }

    #[test]
    fn a_file_that_is_bad_from_the_start_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        assert!(matches!(Watched::load(&path, number), Err(WatchedError::Read { .. })));
        fs::write(&path, "seven").unwrap();
        let error = Watched::load(&path, number).unwrap_err().to_string();
        assert!(error.contains("value") && error.contains("not a number"), "{error}");
    }

    #[tokio::test]
    async fn a_change_is_found_without_asking() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("value");
        fs::write(&path, "1").unwrap();
        let watched = Watched::load(&path, number).unwrap();
        let mut changes = watched.changes();
        fs::write(&path, "2").unwrap();
        tokio::time::timeout(Duration::from_secs(20), changes.changed()).await.unwrap().unwrap();
        assert_eq!(*watched.get(), 2);
    }
}
