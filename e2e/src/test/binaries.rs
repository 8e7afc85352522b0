//! The test programs that cargo has compiled, two of which run at a time: most of them wait for servers most of the time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use super::libtest::Reader;
use super::stream::watched;
use super::{Bench, Tally};
use crate::together;

/// No test takes nearly as long.
const PATIENCE: Duration = Duration::from_mins(6);
/// In the cache: how many seconds each took when it last ran.
const DURATIONS: &str = "test-durations.json";

/// A test program of a package.
#[derive(Debug, PartialEq)]
pub(super) struct Binary {
    /// Its target and the file it is made of, such as `http tests/http/main.rs`.
    name: String,
    program: PathBuf,
    /// Folder of the package, where it runs.
    folder: PathBuf,
}

impl Binary {
    /// Reads one of cargo's messages (The Cargo Book, "External tools"); none where it tells of something else.
    pub(super) fn of(message: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(message).ok()?;
        if message["profile"]["test"] != true {
            return None;
        }
        let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
        let source = Path::new(message["target"]["src_path"].as_str()?);
        let source = source.strip_prefix(folder).unwrap_or(source);
        Some(Self {
            name: format!("{} {}", message["target"]["name"].as_str()?, source.display()),
            program: message["executable"].as_str()?.into(),
            folder: folder.to_owned(),
        })
    }

    fn run(&self, bench: &Bench, servers: &[(&'static str, String)]) -> Result<Tally> {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).envs(servers.iter().map(|(name, value)| (name, value)));
        tally_of(bench, &self.name, command, Some(PATIENCE))
    }
}

/// Runs what prints as test programs do, tells of it, and counts.
pub(super) fn tally_of(bench: &Bench, name: &str, command: Command, patience: Option<Duration>) -> Result<Tally> {
    let mut reader = Reader::new(name);
    let log = bench.cache.logs().join(format!("test/{}.log", name.replace([' ', '/'], "-")));
    let ended = watched(command, &log, patience, |line| {
        if let Some(text) = reader.line(line) {
            bench.progress.say(text);
        }
    })?;
    let (mut tally, unfinished) = reader.end();
    if let Some(unfinished) = unfinished {
        bench.progress.say(unfinished);
    }
    if !ended.succeeded && tally.failed == 0 {
        bench.progress.say(ended.last_lines(60));
        tally += Tally::failed();
    }
    Ok(tally)
}

/// Runs them, longest first, so that the last one is not waited for by itself.
pub(super) fn run(bench: &Bench, binaries: Vec<Binary>, servers: &[(&'static str, String)]) -> Result<Tally> {
    let file = bench.cache.root().join(DURATIONS);
    let known: BTreeMap<String, f64> =
        std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let waiting = Mutex::new(in_order(binaries, &known));
    let total = Mutex::new((Tally::default(), known));
    together::twice(|| {
        loop {
            let next = lock(&waiting).pop();
            let Some(binary) = next else { return Ok(()) };
            let began = Instant::now();
            let tally = binary.run(bench, servers)?;
            let mut total = lock(&total);
            total.0 += tally;
            total.1.insert(binary.name, began.elapsed().as_secs_f64());
        }
    })?;
    let (total, took) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Only what comes first depends on it.
    let _ = std::fs::write(&file, serde_json::to_vec(&took)?);
    Ok(total)
}

/// The longest last, from where they are taken. Of one that never ran is assumed that it takes long if it talks to servers.
fn in_order(mut binaries: Vec<Binary>, known: &BTreeMap<String, f64>) -> Vec<Binary> {
    let seconds = |binary: &Binary| {
        let guess = if binary.name.contains(" tests/") { f64::INFINITY } else { 0.0 };
        known.get(&binary.name).copied().unwrap_or(guess)
    };
    binaries.sort_by(|one, other| seconds(one).total_cmp(&seconds(other)));
    binaries
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn message(test: bool, source: &str) -> String {
        json!({
            "reason": "compiler-artifact",
            "manifest_path": "/w/services/auth/Cargo.toml",
            "target": {"name": "http", "src_path": format!("/w/services/auth/{source}")},
            "profile": {"test": test},
            "executable": "/t/release/deps/http-0f",
        })
        .to_string()
    }

    #[test]
    fn a_test_program_is_named_after_its_target_and_file_and_runs_in_its_package() {
        let binary = Binary::of(&message(true, "tests/http/main.rs")).unwrap();
        assert_eq!(binary.name, "http tests/http/main.rs");
        assert_eq!(binary.folder, Path::new("/w/services/auth"));
        assert_eq!(Binary::of(&message(false, "src/main.rs")), None);
        assert_eq!(Binary::of("   Compiling auth"), None);
        assert_eq!(Binary::of(r#"{"reason": "build-finished", "success": true}"#), None);
    }

    #[test]
    fn what_took_longest_is_taken_first_and_what_talks_to_servers_before_it_when_nothing_is_known() {
        let of = |source| Binary::of(&message(true, source)).unwrap();
        let known = BTreeMap::from([("http tests/a.rs".to_owned(), 1.0), ("http tests/b.rs".to_owned(), 60.0)]);
        let mut ordered =
            in_order(vec![of("src/lib.rs"), of("tests/b.rs"), of("tests/new.rs"), of("tests/a.rs")], &known);
        let taken: Vec<String> = std::iter::from_fn(|| ordered.pop()).map(|binary| binary.name).collect();
        assert_eq!(taken, ["http tests/new.rs", "http tests/b.rs", "http tests/a.rs", "http src/lib.rs"]);
    }
}
