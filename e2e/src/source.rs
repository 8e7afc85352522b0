//! The checkout that the harness works for.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

/// Its root: charts, examples and Dockerfiles are read from there. It is the one around the current folder; several checkouts may
/// share what cargo builds, so where the harness was compiled says nothing.
pub fn root() -> Result<PathBuf> {
    let here = env::current_dir()?;
    here.ancestors()
        .find(|folder| is_root(folder))
        .map(Path::to_owned)
        .ok_or_else(|| anyhow!("{} is in no checkout of chatplatform: run `cargo e2e` in one", here.display()))
}

fn is_root(folder: &Path) -> bool {
    ["Cargo.toml", "e2e/offline", "operator", "services"].iter().all(|part| folder.join(part).exists())
}

/// `e2e/offline`.
pub fn offline() -> Result<PathBuf> {
    Ok(root()?.join("e2e/offline"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_checkout_is_known_from_within_and_its_folders_are_none() {
        let found = root().unwrap();
        assert!(is_root(&found));
        assert!(!is_root(&found.join("e2e")));
    }
}
