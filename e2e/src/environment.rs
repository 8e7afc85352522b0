//! The environment that the harness, and every cargo that it runs, lives in.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Result, anyhow};

/// What `cargo run` tells a program about its own package, beside `CARGO_PKG_...`.
const OF_THE_PACKAGE: [&str; 6] = [
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

/// Starts this program anew without the variables by which `cargo run` told it about its package, if it has any.
///
/// A cargo that finds them builds everything above `ring` anew, whose build script asks to be run again when they change; the next
/// one that does not find them builds it all once more.
pub fn without_cargos_variables() -> Result<()> {
    let found: Vec<_> =
        env::vars_os().map(|(name, _)| name).filter(|name| is_of_the_package(&name.to_string_lossy())).collect();
    if found.is_empty() {
        return Ok(());
    }
    let mut anew = Command::new("/proc/self/exe");
    anew.args(env::args_os().skip(1));
    for name in found {
        anew.env_remove(name);
    }
    Err(anyhow!(anew.exec()).context("cannot start the harness without cargo's variables"))
}

fn is_of_the_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || OF_THE_PACKAGE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_tells_of_the_package_is_shed() {
        assert!(is_of_the_package("CARGO_PKG_NAME") && is_of_the_package("CARGO_MANIFEST_DIR"));
        // These say which cargo runs, where it keeps things and how it is to compile.
        for kept in ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_PROFILE_RELEASE_LTO"] {
            assert!(!is_of_the_package(kept), "{kept}");
        }
    }
}
