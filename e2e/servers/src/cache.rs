//! What servers are made of, kept outside of the checkout, one folder a name and version.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where everything that is expensive to fetch or build is kept: `$XDG_CACHE_HOME/chatplatform`,
/// with the default of the XDG Base Directory Specification, `~/.cache`.
pub fn cache_folder() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    Ok(base.join("chatplatform"))
}

/// The folder of `name` at `version`; `install` fills it when that was never done before.
///
/// One process installs, others wait for it. An installation that broke leaves nothing behind.
pub(crate) fn installed(name: &str, version: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let servers = cache_folder()?.join("servers");
    let folder = servers.join(format!("{name}-{version}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&servers).with_context(|| format!("cannot create {}", servers.display()))?;
    let lock = File::create(servers.join(format!("{name}-{version}.lock")))?;
    lock.lock().with_context(|| format!("cannot lock the installation of {name}"))?;
    if folder.is_dir() {
        return Ok(folder);
    }

    let partial = servers.join(format!(".{name}-{version}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir(&partial)?;
    install(&partial).with_context(|| format!("cannot install {name} {version}"))?;
    fs::rename(&partial, &folder)?;
    Ok(folder)
}
