//! npm packages of a folder of the checkout.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::Key;
use crate::command::{Run, need};

/// The packages that a folder's `package-lock.json` names, installed into it.
pub(crate) struct Packages {
    folder: PathBuf,
}

impl Packages {
    /// Installs them, unless that was done from this very lock file.
    pub(crate) fn installed(folder: &Path) -> Result<Self> {
        need("npm", "install Node.js 20 or newer")?;
        let lock = folder.join("package-lock.json");
        let key = Key::of("npm ci").file(&lock)?.finish();
        let stamp = folder.join("node_modules/.installed-from");
        if fs::read_to_string(&stamp).ok().as_ref() != Some(&key) {
            Run::new("npm")
                .args(["ci", "--prefer-offline", "--no-audit", "--no-fund"])
                .in_directory(folder)
                .execute()
                .with_context(|| format!("cannot install what {} names", lock.display()))?;
            fs::write(&stamp, &key)?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}
