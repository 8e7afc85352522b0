//! A machine where Docker does not answer or no registry can be reached: everything a cluster needs, made from
//! package registries alone (Debian, Go modules, `PyPI`, npm).

pub mod capability;
pub mod daemon;
pub mod debian;
pub mod go;
pub mod images;
pub mod node_image;
pub mod packages;

use std::path::Path;

use anyhow::{Result, bail};
use nix::sys::statvfs::statvfs;
use nix::unistd::Uid;

use crate::cache::Cache;
use crate::engine::Engine;
use crate::progress::Progress;
use crate::quirks::Quirks;
use crate::together;

/// What was prepared.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// The node image to make clusters from.
    pub node_image: String,
    /// Images that nodes made from it already hold, by name.
    pub in_nodes: Vec<String>,
}

/// Prepares all, side by side where that helps; what the cache has is not made again.
pub fn prepare(cache: &Cache, progress: &Progress, quirks: Quirks) -> Result<Engine> {
    check_machine(cache)?;
    go::check(cache)?;
    images::check(cache)?;
    packages::ensure(progress)?;
    let docker = daemon::Daemon::new(cache).start(progress, quirks)?;
    // Compiling keeps the cores busy while packages are fetched and unpacked.
    together::both(|| images::ensure_packaged(cache, progress, &docker), || go::ensure_all(cache, progress))?;
    images::ensure_compiled(cache, progress, &docker)?;
    let prepared = node_image::ensure(cache, progress, &docker)?;
    Ok(Engine {
        docker,
        kind: go::place(cache, &go::KIND),
        helm: go::place(cache, &go::HELM),
        offline: Some(prepared),
        quirks,
    })
}

/// Disk that a first run needs, and that a later one does, in GiB.
const DISK_COLD: u64 = 14;
const DISK_WARM: u64 = 3;

fn check_machine(cache: &Cache) -> Result<()> {
    if !Uid::effective().is_root() {
        bail!(
            "no Docker daemon that can pull images answers here, and only root can start one: run this with sudo, \
             or install and start Docker"
        );
    }
    if !Path::new("/etc/debian_version").exists() {
        bail!(
            "no Docker daemon that can pull images answers here, and one can be prepared on Debian only: \
             install and start Docker"
        );
    }
    let warm = cache.root().join("tools").exists();
    let wanted = if warm { DISK_WARM } else { DISK_COLD };
    let disk = statvfs(cache.root())?;
    let free = (disk.blocks_available() * disk.fragment_size()) >> 30;
    if free < wanted {
        bail!(
            "only {free} GiB are free where {} lies, and {wanted} are needed: free some, or put the cache elsewhere \
             with XDG_CACHE_HOME=/a/larger/disk",
            cache.root().display()
        );
    }
    Ok(())
}
