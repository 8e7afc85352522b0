//! The web client's types and tests.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::node::Packages;
use super::stream::stream;
use super::{Bench, Tally};

pub(super) fn run(bench: &Bench) -> Result<Tally> {
    let packages = Packages::installed(&bench.root.join("services/web"))?;
    let logs = bench.cache.logs().join("test");

    let mut total = Tally::default();
    let mut types = Command::new("npm");
    types.args(["run", "--silent", "check"]).current_dir(packages.folder());
    let ended = stream(types, &logs.join("web-types.log"), |_| {})?;
    if !ended.succeeded {
        println!("{}", ended.last_lines(60));
    }
    total += Tally::of(ended.succeeded);

    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report.json");
    let mut tests = Command::new("npm");
    tests
        .args(["run", "--silent", "test", "--", "--reporter=json", "--reporter=default"])
        .arg(format!("--outputFile.json={}", report.display()))
        .current_dir(packages.folder());
    let ended = stream(tests, &logs.join("web-tests.log"), |_| {})?;
    let report: Report = fs::read(&report)
        .map_err(anyhow::Error::from)
        .and_then(|bytes| Ok(serde_json::from_slice(&bytes)?))
        .with_context(|| format!("vitest wrote no report:\n{}", ended.last_lines(60)))?;
    let tests = report.tally();
    if !ended.succeeded {
        println!("{}", ended.last_lines(120));
    }
    total += tests;
    if !ended.succeeded && tests.failed == 0 {
        total += Tally::failed();
    }
    Ok(total)
}

/// Of vitest's JSON reporter, which follows Jest's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    num_passed_tests: usize,
    num_failed_tests: usize,
}

impl Report {
    fn tally(&self) -> Tally {
        Tally { passed: self.num_passed_tests, failed: self.num_failed_tests }
    }
}
