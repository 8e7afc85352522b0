//! Programs out of Debian packages, unpacked beside the system instead of installed into it: no
//! daemon starts, root is not needed, and what the machine runs already stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache;
use crate::process::run;

/// The folder into which `packages` are unpacked, as if it were `/`; `finish` adapts it.
pub(crate) fn unpacked(name: &str, packages: &[&str], finish: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    cache::installed(name, &release()?, |folder| {
        let archives = folder.join("archives");
        fs::create_dir(&archives)?;
        download(packages, &archives)?;
        for entry in fs::read_dir(&archives)? {
            run(Command::new("dpkg-deb").arg("--extract").arg(entry?.path()).arg(folder))?;
        }
        fs::remove_dir_all(&archives)?;
        finish(folder)
    })
}

fn download(packages: &[&str], folder: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    download.arg("--quiet").arg("download").args(packages).current_dir(folder);
    if run(&mut download).is_ok() {
        return Ok(());
    }
    // A fresh machine has no package lists, or stale ones.
    run(Command::new("apt-get").args(["--quiet", "update"]))?;
    run(&mut download).map(drop)
}

/// `debian-12`, from os-release(5).
fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("this is not a Debian system")?;
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
            .with_context(|| format!("/etc/os-release has no {key}"))
    };
    Ok(format!("{}-{}", value("ID")?, value("VERSION_ID")?))
}
