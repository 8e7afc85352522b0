//! Everything expensive is kept outside the checkout, under a name made of what went into it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};

/// `$XDG_CACHE_HOME/chatplatform`, by default `~/.cache/chatplatform`.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens it, creating it where needed.
    pub fn open() -> Result<Self> {
        let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
            Some(directory) => PathBuf::from(directory),
            None => PathBuf::from(std::env::var_os("HOME").ok_or_else(|| {
                anyhow!("neither XDG_CACHE_HOME nor HOME is set: set one, so that built things can be kept")
            })?)
            .join(".cache"),
        };
        Self::at(base.join("chatplatform"))
    }

    /// A cache in `root`.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        let root = root.canonicalize().with_context(|| format!("cannot open {}", root.display()))?;
        Ok(Self { root })
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder `name` in it, created where needed.
    pub fn directory(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// The folder `name` in it, emptied first: for what is put together anew.
    pub fn fresh_directory(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.root.join(&name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot empty {}", path.display()))
            }
            _ => self.directory(name),
        }
    }

    /// Step logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Waits for and holds the lock `name`; it goes away with the process, however that ends.
    pub fn lock(&self, name: &str) -> Result<Flock<File>> {
        let path = self.directory("locks")?.join(name);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| anyhow!("cannot lock {}: {error}", path.display()))
    }

    /// Like [`Cache::lock`], but answers `None` at once where another process holds it.
    pub fn try_lock(&self, name: &str) -> Result<Option<Flock<File>>> {
        let path = self.directory("locks")?.join(name);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
    }
}

/// A name for built things: equal inputs, equal key.
#[derive(Clone, Debug, Default)]
pub struct Key(Sha256);

impl Key {
    /// Starts a key of the kind `what`.
    #[must_use]
    pub fn of(what: &str) -> Self {
        Self::default().text(what)
    }

    /// Adds a text. Its length goes in too, so that ("ab", "c") and ("a", "bc") differ.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
        self
    }

    /// Adds a file's content and whether it may be executed.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        let digest = digest_of(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.0.update(digest);
        Ok(self)
    }

    /// Adds every file below `directory`, by relative name and content.
    pub fn tree(mut self, directory: &Path) -> Result<Self> {
        for path in files_below(directory)? {
            let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().into_owned();
            self = self.text(&name);
            self =
                if path.is_symlink() { self.text(&fs::read_link(&path)?.to_string_lossy()) } else { self.file(&path)? };
        }
        Ok(self)
    }

    /// Sixteen hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        hex::encode(&self.0.finalize()[..8])
    }
}

/// Every file and link below `directory`, in the order of their names.
pub fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    files_below_except(directory, &[])
}

/// Like [`files_below`], without entering folders that are called like one of `except`.
pub fn files_below_except(directory: &Path, except: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if !path.is_dir() || path.is_symlink() {
                found.push(path);
            } else if !except.iter().any(|name| path.ends_with(name)) {
                open.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn digest_of(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(digest.finalize().into());
        }
        digest.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn equal_trees_have_equal_keys_and_any_change_shows() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &two] {
            fs::create_dir(folder.path().join("b")).unwrap();
            fs::write(folder.path().join("a"), "1").unwrap();
            fs::write(folder.path().join("b/c"), "2").unwrap();
        }
        let key = |folder: &Path| Key::of("x").tree(folder).unwrap().finish();
        assert_eq!(key(one.path()), key(two.path()));
        fs::write(two.path().join("b/c"), "3").unwrap();
        assert_ne!(key(one.path()), key(two.path()));
        fs::write(two.path().join("b/c"), "2").unwrap();
        fs::rename(two.path().join("b/c"), two.path().join("b/d")).unwrap();
        assert_ne!(key(one.path()), key(two.path()));
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        assert_ne!(Key::of("ab").text("c").finish(), Key::of("a").text("bc").finish());
    }

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let held = cache.lock("one").unwrap();
        assert!(cache.try_lock("one").unwrap().is_none());
        drop(held);
        assert!(cache.try_lock("one").unwrap().is_some());
    }
}
