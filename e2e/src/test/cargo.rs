//! What cargo checks and runs.

use std::process::Command;
use std::thread;

use anyhow::{Result, bail};

use super::binaries::{self, Binary};
use super::stream::stream;
use super::{Bench, Tally};

pub(super) fn format(bench: &Bench) -> Result<Tally> {
    check(bench, "format", &["fmt", "--all", "--check"])
}

pub(super) fn lints(bench: &Bench) -> Result<Tally> {
    check(bench, "lints", &["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"])
}

/// Unit tests, and integration tests against real servers, which all of them share.
pub(super) fn tests(bench: &Bench) -> Result<Tally> {
    // Servers are fetched and started while everything is compiled.
    let servers = thread::spawn(servers::announce);
    let mut binaries = Vec::new();
    let compile = ["test", "--release", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"];
    let built = stream(cargo(bench, &compile), &log(bench, "build"), |line| binaries.extend(Binary::of(line)))?;
    if !built.succeeded {
        bail!("the tests do not compile:\n{}", built.last_lines(60));
    }
    bench.progress.say("compiled");
    let Ok(servers) = servers.join() else { bail!("the servers for tests did not start") };
    let mut total = binaries::run(bench, binaries, &servers?)?;
    let examples = cargo(bench, &["test", "--release", "--workspace", "--doc"]);
    total += binaries::tally_of(bench, "documentation", examples, None)?;
    Ok(total)
}

fn check(bench: &Bench, name: &str, arguments: &[&str]) -> Result<Tally> {
    let ended = stream(cargo(bench, arguments), &log(bench, name), |_| {})?;
    if !ended.succeeded {
        println!("{}", ended.last_lines(60));
    }
    Ok(Tally::of(ended.succeeded))
}

fn cargo(bench: &Bench, arguments: &[&str]) -> Command {
    // Cargo names itself to what it runs, so this is the one that runs the harness.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(&bench.root);
    command
}

fn log(bench: &Bench, name: &str) -> std::path::PathBuf {
    bench.cache.logs().join(format!("test/{name}.log"))
}
