//! The REST interface held against its description, by requests that nobody would think of.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Stage;
use super::people::Person;
use super::scaling::restoring;
use crate::cache::Cache;
use crate::command::{Run, on_path};
use crate::offline::packages;

/// What makes the requests up (<https://schemathesis.readthedocs.io>).
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// How long it may, in seconds.
const BUDGET: &str = "40";
/// Whoever logs out is refused all that comes after.
const ENDS_THE_SESSION: &str = "/auth/logout";

pub(super) fn made_up_requests_are_answered_as_described_and_never_by_a_server_error(stage: &Stage) -> Result<()> {
    let program = installed(stage.cluster.cache())?;
    restoring(stage, || {
        // One person and one address make more requests here than any people would.
        let unlimited = json!({"perMinute": 1_000_000});
        stage.change(&json!({"spec": {"gateway": {"rateLimits": {
            "auth": unlimited, "read": unlimited, "write": unlimited, "upload": unlimited,
        }}}}))?;
        stage.wait_until_usable()?;
        let person = Person::register(stage, "ada")?;
        let url = stage.rest.url();
        let told = Run::new(&program)
            .args(["run", &format!("{url}/api/openapi.json"), "--url", url])
            .arg("--tls-verify")
            .arg(stage.authority_file())
            .args(["--header", &format!("Authorization: Bearer {}", person.access_token)])
            .args(["--checks", "not_a_server_error,content_type_conformance,response_schema_conformance"])
            .args(["--phases", "coverage,fuzzing", "--max-time", BUDGET, "--exclude-path-regex", ENDS_THE_SESSION])
            .args([
                "--warnings",
                "off",
                "--suppress-health-check",
                "all",
                "--generation-database",
                "none",
                "--no-color",
            ])
            .output()?;
        let cases = told.lines().find(|line| line.contains(" generated, ")).context("it does not say what it tried")?;
        stage.note(format!("requests: {}", cases.trim()));
        Ok(())
    })
}

/// The program, in an environment of its own in the cache.
fn installed(cache: &Cache) -> Result<PathBuf> {
    let _one_at_a_time = cache.lock("schemathesis")?;
    let folder = cache.directory("python")?.join(SCHEMATHESIS);
    let program = folder.join("bin/schemathesis");
    if !program.exists() {
        make_environment(&folder)?;
        let pip = Run::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS])
            .execute()
            .with_context(|| format!("cannot install {SCHEMATHESIS}"))?;
    }
    Ok(program)
}

/// Debian keeps what this needs apart from Python.
fn make_environment(folder: &Path) -> Result<()> {
    let make = || Run::new("python3").args(["-m", "venv", "--clear"]).arg(folder);
    if make().succeeds() {
        return Ok(());
    }
    if on_path("apt-get").is_some() {
        packages::install(&["python3-venv"])?;
    }
    make().execute().context("cannot make a Python environment: install Python 3.10 or newer with venv")
}
