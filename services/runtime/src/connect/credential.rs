//! What a connection is made by, as mounted files have it, and which connections still go by which.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use contract::keys::KeyUse;

use super::{ConnectError, secret};

/// How often the files are looked at. Kubernetes itself takes up to a minute to bring a change to a volume.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);
/// File beside that of a connection string: the generation that its credential is of.
const GENERATION: &str = "credentials";

/// A connection string, and the generation that its credential is of, where somebody counts them.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Credential {
    pub(super) text: String,
    pub(super) generation: Option<String>,
}

/// Where connection strings come from.
#[derive(Clone, Debug)]
pub(super) struct Source(PathBuf);

impl Source {
    pub(super) fn new(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What the files hold now.
    pub(super) fn read(&self) -> Result<Credential, ConnectError> {
        // A volume's files are exchanged all at once, at any moment. The generation comes first, so that what is read after it is never of an
        // older one than is told; a newer one is corrected by the next look.
        let generation = self.generation();
        Ok(Credential { text: secret(&self.0)?, generation })
    }

    /// The generation that the next connection will go by.
    pub(super) fn generation(&self) -> Option<String> {
        let text = fs::read_to_string(self.0.with_file_name(GENERATION)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Waits until the files hold something else than this, but for a moment at least.
    pub(super) async fn differs(&self, used: &Credential) -> Credential {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // One that cannot be read now is read at the next look.
            if let Ok(found) = self.read()
                && found != *used
            {
                return found;
            }
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// The connections of a process to a server, by the generation of their credential.
#[derive(Debug, Default)]
pub(super) struct Generations(Mutex<Vec<Weak<Generation>>>);

/// Held by whoever works with a connection.
#[derive(Debug)]
pub(super) struct Generation(Option<String>);

impl Generations {
    /// A connection begins to be used; it is until the last clone of this is gone.
    pub(super) fn begin(&self, credential: &Credential) -> Arc<Generation> {
        let generation = Arc::new(Generation(credential.generation.clone()));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&generation));
        generation
    }

    /// Which generations are gone by: that of the newest connection, or of the next where there is none, and those of all.
    pub(super) fn in_use(&self, source: &Source) -> KeyUse {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alive: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        let current = alive.last().map_or_else(|| source.generation(), |newest| newest.0.clone());
        let mut accepted: Vec<String> = alive.iter().filter_map(|generation| generation.0.clone()).collect();
        accepted.sort_unstable();
        accepted.dedup();
        KeyUse { current, accepted, stored: None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn write(folder: &Path, text: &str, generation: &str) {
        fs::write(folder.join("uri"), text).unwrap();
        fs::write(folder.join(GENERATION), generation).unwrap();
    }

    #[test]
    fn a_connection_counts_until_nobody_works_with_it_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::new(folder.path().join("uri"));
        write(folder.path(), "one", "cr-1\n");
        let generations = Generations::default();
        let told = |generations: &Generations| {
            let KeyUse { current, accepted, .. } = generations.in_use(&source);
            (current.unwrap_or_default(), accepted.join(" "))
        };
        // There is no connection; the next will be of this one.
        assert_eq!(told(&generations), ("cr-1".into(), String::new()));
        let first = generations.begin(&source.read().unwrap());
        write(folder.path(), "two", "cr-2");
        assert_eq!(told(&generations), ("cr-1".into(), "cr-1".into()));
        let second = generations.begin(&source.read().unwrap());
        let in_flight = Arc::clone(&first);
        drop(first);
        assert_eq!(told(&generations), ("cr-2".into(), "cr-1 cr-2".into()));
        drop(in_flight);
        assert_eq!(told(&generations), ("cr-2".into(), "cr-2".into()));
        drop(second);
    }

    #[tokio::test]
    async fn a_change_of_either_file_is_found_and_no_text_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::new(folder.path().join("uri"));
        write(folder.path(), "one", "cr-1");
        let used = source.read().unwrap();
        write(folder.path(), "secret", "cr-1");
        let found = source.differs(&used).await;
        assert_eq!((found.text.as_str(), found.generation.as_deref()), ("secret", Some("cr-1")));
        assert!(!format!("{found:?}").contains("secret"));
        write(folder.path(), "secret", "cr-2");
        assert_eq!(source.differs(&found).await.generation.as_deref(), Some("cr-2"));
        // Somebody else's server, whose credentials nobody counts.
        fs::remove_file(folder.path().join(GENERATION)).unwrap();
        assert_eq!(source.read().unwrap().generation, None);
    }
}
