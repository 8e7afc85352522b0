//! runc, less a capability that this machine lacks.
//!
//! Docker 20.10 asks for every capability it knows for a privileged container, and runc refuses what is outside the
//! bounding set. The daemon is given this binary, under the name [`NAME`], as its runtime: it takes `CAP_SYS_RESOURCE`
//! out of what runc is about to read and then becomes runc.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The name the harness is called by when it stands in for runc.
pub const NAME: &str = "runc-without-sys-resource";

const CAPABILITY: &str = "CAP_SYS_RESOURCE";
const RUNC: &str = "/usr/sbin/runc";

/// Runs as runc. Comes back only with an error.
pub fn become_runc(arguments: &[OsString]) -> Result<()> {
    if let Some(file) = document(arguments) {
        strip(&file)?;
    }
    Err(Command::new(RUNC).args(arguments).exec()).with_context(|| format!("cannot run {RUNC}"))
}

/// The file in which these arguments tell runc what process to start, if they start one.
fn document(arguments: &[OsString]) -> Option<PathBuf> {
    let is = |word: &str| arguments.iter().any(|argument| argument == word);
    if is("create") || is("run") {
        let bundle = option(arguments, &["--bundle", "-b"]).unwrap_or_else(|| ".".into());
        Some(bundle.join("config.json"))
    } else if is("exec") {
        option(arguments, &["--process", "-p"])
    } else {
        None
    }
}

fn option(arguments: &[OsString], names: &[&str]) -> Option<PathBuf> {
    arguments.iter().enumerate().find_map(|(at, argument)| {
        let text = argument.to_str()?;
        names.iter().find_map(|name| match text.strip_prefix(name)? {
            "" => arguments.get(at + 1).map(PathBuf::from),
            rest => rest.strip_prefix('=').map(PathBuf::from),
        })
    })
}

fn strip(file: &Path) -> Result<()> {
    let text = match fs::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.with_context(|| format!("cannot read {}", file.display()))?,
    };
    let mut document: Value = serde_json::from_slice(&text).context("runc's document is not JSON")?;
    // config.json holds the process under a key, process.json is the process.
    let process = if document.get("process").is_some() { &mut document["process"] } else { &mut document };
    without_capability(process);
    fs::write(file, serde_json::to_vec(&document)?).with_context(|| format!("cannot write {}", file.display()))
}

fn without_capability(process: &mut Value) {
    let Some(sets) = process.get_mut("capabilities").and_then(Value::as_object_mut) else { return };
    for names in sets.values_mut().filter_map(Value::as_array_mut) {
        names.retain(|name| name != CAPABILITY);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_document_is_found_as_runc_finds_it() {
        assert_eq!(document(&words("--root /r create --bundle /b --pid-file p id")), Some("/b/config.json".into()));
        assert_eq!(document(&words("create --bundle=/b id")), Some("/b/config.json".into()));
        assert_eq!(document(&words("run id")), Some("./config.json".into()));
        assert_eq!(document(&words("exec --process /tmp/p --detach id")), Some("/tmp/p".into()));
        assert_eq!(document(&words("--root /r delete --force id")), None);
    }

    #[test]
    fn only_the_missing_capability_goes_from_every_set() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let sets = json!({"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": ["CAP_SYS_RESOURCE"]});
        fs::write(file.path(), json!({"process": {"capabilities": sets, "cwd": "/"}}).to_string()).unwrap();
        strip(file.path()).unwrap();
        let left: Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
        assert_eq!(left, json!({"process": {"capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []}, "cwd": "/"}}));
    }
}
