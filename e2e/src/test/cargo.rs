//! What cargo checks and runs.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use super::libtest::Reader;
use super::stream::{stream, watched};
use super::{Bench, Tally};

pub(super) fn format(bench: &Bench) -> Result<Tally> {
    check(bench, "format", &["fmt", "--all", "--check"])
}

pub(super) fn lints(bench: &Bench) -> Result<Tally> {
    check(bench, "lints", &["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"])
}

/// No test takes nearly as long.
const PATIENCE: Duration = Duration::from_mins(8);

/// Unit tests, and integration tests against real servers, which all of them share.
pub(super) fn tests(bench: &Bench) -> Result<Tally> {
    // Servers are fetched and started while everything is compiled.
    let servers = thread::spawn(servers::announce);
    let built = stream(cargo(bench, &["test", "--release", "--workspace", "--no-run"]), &log(bench, "build"), |_| {})?;
    if !built.succeeded {
        bail!("the tests do not compile:\n{}", built.last_lines(60));
    }
    bench.progress.say("compiled");
    let Ok(servers) = servers.join() else { bail!("the servers for tests did not start") };

    let mut command = cargo(bench, &["test", "--release", "--workspace", "--no-fail-fast"]);
    command.envs(servers?);
    let mut reader = Reader::default();
    let ended = watched(command, &log(bench, "tests"), Some(PATIENCE), |line| {
        if let Some(text) = reader.line(line) {
            bench.progress.say(text);
        }
    })?;
    let (mut total, unfinished) = reader.end();
    if let Some(unfinished) = unfinished {
        bench.progress.say(unfinished);
    }
    if !ended.succeeded && total.failed == 0 {
        println!("{}", ended.last_lines(60));
        total += Tally::failed();
    }
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
