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
    installed_in(&cache_folder()?.join("servers"), name, version, install)
}

fn installed_in(
    servers: &Path,
    name: &str,
    version: &str,
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = servers.join(format!("{name}-{version}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(servers).with_context(|| format!("cannot create {}", servers.display()))?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn several_at_once_install_once() {
        let cache = tempfile::tempdir().unwrap();
        let installations = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let folder = installed_in(cache.path(), "tool", "1.0", |folder| {
                        installations.fetch_add(1, Ordering::Relaxed);
                        Ok(fs::write(folder.join("tool"), "tool")?)
                    });
                    assert_eq!(fs::read_to_string(folder.unwrap().join("tool")).unwrap(), "tool");
                });
            }
        });
        assert_eq!(installations.into_inner(), 1);
    }

    #[test]
    fn a_broken_installation_leaves_nothing_that_looks_whole() {
        let cache = tempfile::tempdir().unwrap();
        let broken = installed_in(cache.path(), "tool", "1.0", |folder| {
            fs::write(folder.join("half"), "half")?;
            anyhow::bail!("no network")
        });
        assert!(format!("{:#}", broken.unwrap_err()).contains("cannot install tool 1.0: no network"));

        let folder = installed_in(cache.path(), "tool", "1.0", |_| Ok(())).unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }

    #[test]
    fn another_version_is_another_folder() {
        let cache = tempfile::tempdir().unwrap();
        let folder = |version| installed_in(cache.path(), "tool", version, |_| Ok(())).unwrap();
        assert_ne!(folder("1.0"), folder("1.1"));
    }
}
