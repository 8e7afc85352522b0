//! What the person at the terminal sees: one line when a step begins, one when it ends, with times.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

/// How many lines of a component's log a failed step shows.
const TAIL_LINES: usize = 25;

/// Prints steps with the time since the start and how long each took. Clones share clock and terminal.
#[derive(Clone, Debug)]
pub struct Progress {
    started: Instant,
    logs: PathBuf,
    terminal: Arc<Mutex<()>>,
}

impl Progress {
    /// Starts the clock; each step logs to a file of its name in `logs`.
    pub fn new(logs: impl Into<PathBuf>) -> Self {
        Self { started: Instant::now(), logs: logs.into(), terminal: Arc::default() }
    }

    /// Prints one line, stamped with the time since the start.
    pub fn say(&self, text: impl AsRef<str>) {
        let _line = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
        // Whether anybody still reads makes no difference to the work.
        let _ = writeln!(std::io::stdout(), "{:>8}  {}", seconds(self.started.elapsed()), text.as_ref());
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs `work`, announcing it before and after. When it fails, the end of its log and `cure` (what the
    /// person can do) become part of the error.
    pub fn step<T>(&self, name: &str, cure: &str, work: impl FnOnce(&Log) -> Result<T>) -> Result<T> {
        let log = Log::create(&self.logs, name)?;
        self.say(format!("… {name}"));
        let began = Instant::now();
        match work(&log) {
            Ok(value) => {
                self.say(format!("✓ {name} ({})", seconds(began.elapsed())));
                Ok(value)
            }
            Err(error) => {
                self.say(format!("✗ {name} ({})", seconds(began.elapsed())));
                Err(log.explain(name, cure, &error))
            }
        }
    }
}

/// `12.3 s`, or `3 min 07 s` from two minutes on.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_mins(2) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// The log file of one step: what its commands print goes there.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    fn create(directory: &Path, step: &str) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let path = directory.join(file_name(step));
        File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where the log is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A handle for a child's standard output or error.
    pub fn stdio(&self) -> Result<Stdio> {
        Ok(self.append()?.into())
    }

    /// Adds a line of our own, such as the command about to run.
    pub fn note(&self, line: &str) -> Result<()> {
        writeln!(self.append()?, "{line}").context("cannot write the log")
    }

    fn append(&self) -> Result<File> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn explain(&self, step: &str, cure: &str, error: &anyhow::Error) -> anyhow::Error {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let end = tail(&text, TAIL_LINES);
        let log =
            if end.is_empty() { String::new() } else { format!("\n--- end of {}\n{end}\n---", self.path.display()) };
        anyhow!("{step}: {error:#}{log}\n{cure}")
    }
}

/// File systems take 255 bytes.
const LONGEST_NAME: usize = 200;

/// A step's name as a file name: `node image` is logged in `node-image.log`.
#[must_use]
pub fn file_name(step: &str) -> String {
    let plain: String = step
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' })
        .collect();
    format!("{}.log", &plain[..plain.len().min(LONGEST_NAME)])
}

/// The last `lines` lines of `text`.
#[must_use]
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_failed_step_shows_the_end_of_its_log_and_the_cure() {
        let logs = tempfile::tempdir().unwrap();
        let error = Progress::new(logs.path())
            .step("node image", "Free some disk.", |log| {
                for n in 0..100 {
                    log.note(&format!("line {n}"))?;
                }
                Err::<(), _>(anyhow!("exit status 1"))
            })
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("node image: exit status 1"), "{error}");
        assert!(error.contains("line 99") && !error.contains("line 70\n"), "{error}");
        assert!(error.ends_with("Free some disk."), "{error}");
    }

    #[test]
    fn times_are_read_at_a_glance() {
        assert_eq!(seconds(Duration::from_millis(8140)), "8.1 s");
        assert_eq!(seconds(Duration::from_secs(187)), "3 min 07 s");
    }

    #[test]
    fn a_step_is_logged_under_its_own_name() {
        assert!(file_name(&"many images ".repeat(50)).len() < 255);
        assert_eq!(file_name("Image mongo:6.0.5"), "image-mongo-6.0.5.log");
    }
}
