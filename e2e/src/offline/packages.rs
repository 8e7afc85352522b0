//! Debian packages of the machine itself.

use anyhow::{Context as _, Result};

use crate::command::{Run, on_path};
use crate::progress::Progress;

/// A program that must be there, and the package that brings it.
const WANTED: [(&str, &str); 5] = [
    ("/usr/bin/docker", "docker.io"),
    ("dockerd", "docker.io"),
    ("mmdebstrap", "mmdebstrap"),
    ("gcc", "gcc"),
    ("iptables-save", "iptables"),
];

/// Installs what is missing.
pub fn ensure(progress: &Progress) -> Result<()> {
    let mut missing: Vec<&str> =
        WANTED.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    progress.step(
        &format!("install {}", missing.join(", ")),
        "Is the machine's Debian mirror reachable (`apt-get update`)? Is another apt running?",
        |log| {
            apt(&["update"]).log(log).execute()?;
            // A daemon that the package starts by itself would be in the way of nothing, but nobody asked for it.
            installation(&missing).env("RUNLEVEL", "1").log(log).execute()
        },
    )
}

/// Installs `packages`, on a machine that has apt.
pub fn install(packages: &[&str]) -> Result<()> {
    installation(packages).execute().with_context(|| format!("cannot install the Debian packages {packages:?}"))
}

fn installation(packages: &[&str]) -> Run {
    apt(&["install", "--yes", "--no-install-recommends"]).args(packages)
}

/// Somebody else may be installing something at this moment.
fn apt(arguments: &[&str]) -> Run {
    Run::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--quiet", "--option=DPkg::Lock::Timeout=300"])
        .args(arguments)
}

fn is_there(program: &str) -> bool {
    if program.starts_with('/') { std::path::Path::new(program).exists() } else { on_path(program).is_some() }
}
