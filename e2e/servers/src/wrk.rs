//! wrk, which puts load on HTTP servers.

use std::process::Command;

use anyhow::Result;

use crate::debian;

const PACKAGES: [&str; 4] = ["wrk", "libluajit-5.1-2", "libluajit-5.1-common", "libssl3"];

/// The program, still without arguments.
pub fn wrk() -> Result<Command> {
    let system = debian::unpacked("wrk", &PACKAGES, |_| Ok(()))?;
    let mut command = Command::new(system.join("usr/bin/wrk"));
    command.env("LD_LIBRARY_PATH", system.join("usr/lib/x86_64-linux-gnu"));
    Ok(command)
}
