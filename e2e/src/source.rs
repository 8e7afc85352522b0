//! The checkout that the harness was built from.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// Its root: charts, examples and Dockerfiles are read from there.
pub fn root() -> Result<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = here.parent().context("the e2e crate lies in the checkout")?;
    if !root.join("Cargo.toml").exists() {
        bail!("the checkout {} is gone: run `cargo e2e` in the one you work in", root.display());
    }
    Ok(root.to_owned())
}

/// `e2e/offline`.
pub fn offline() -> Result<PathBuf> {
    Ok(root()?.join("e2e/offline"))
}
