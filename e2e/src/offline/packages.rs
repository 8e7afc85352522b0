//! Debian packages of the machine itself.

use anyhow::Result;

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
            let apt = || Run::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").log(log);
            apt().args(["update", "-q"]).execute()?;
            // A daemon that the package starts by itself would be in the way of nothing, but nobody asked for it.
            apt().env("RUNLEVEL", "1").args(["install", "-qy", "--no-install-recommends"]).args(&missing).execute()
        },
    )
}

fn is_there(program: &str) -> bool {
    if program.starts_with('/') { std::path::Path::new(program).exists() } else { on_path(program).is_some() }
}
