//! Other programs, run so that a failure says which one, why, and what it printed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::interrupt;
use crate::progress::{Log, tail};

/// One run of a program, described before it starts.
#[derive(Debug)]
pub struct Run {
    program: OsString,
    command: Command,
    log: Option<Log>,
    input: Input,
    shielded: bool,
}

#[derive(Debug)]
enum Input {
    Nothing,
    Text(String),
    File(PathBuf),
}

impl Run {
    /// `program` is looked up on PATH unless it holds a slash.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Command::new(program).into()
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in `directory`.
    #[must_use]
    pub fn in_directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// What the program prints beyond a wanted answer goes to this log.
    #[must_use]
    pub fn log(mut self, log: &Log) -> Self {
        self.log = Some(log.clone());
        self
    }

    /// Feeds `text` to standard input.
    #[must_use]
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Input::Text(text.into());
        self
    }

    /// Feeds a file to standard input.
    #[must_use]
    pub fn input_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.input = Input::File(file.into());
        self
    }

    /// Runs although the harness was interrupted: for taking things down.
    #[must_use]
    pub fn shielded(mut self) -> Self {
        self.shielded = true;
        self
    }

    /// Runs to the end; what it prints goes to the log, or into the error.
    pub fn execute(self) -> Result<()> {
        self.finish().map(drop)
    }

    /// Runs to the end and answers what it printed, without the last line break.
    pub fn output(self) -> Result<String> {
        let mut text = String::from_utf8(self.bytes()?).context("the answer is not UTF-8")?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    /// Runs to the end and answers the bytes it printed.
    pub fn bytes(mut self) -> Result<Vec<u8>> {
        self.command.stdout(Stdio::piped());
        Ok(self.finish_with_output(true)?.stdout)
    }

    /// Whether it ran and succeeded; prints nothing.
    #[must_use]
    pub fn succeeds(mut self) -> bool {
        self.log = None;
        self.finish().is_ok()
    }

    /// Runs to the end, and it is as good if it fails.
    pub fn attempt(self) {
        let _ = self.succeeds();
    }

    /// Whether it ran and succeeded within `limit`; it is killed after that.
    #[must_use]
    pub fn succeeds_within(mut self, limit: Duration) -> bool {
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut child) = self.command.spawn() else {
            return false;
        };
        let deadline = Instant::now() + limit;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return false;
                }
            }
        }
    }

    fn finish(mut self) -> Result<Output> {
        match &self.log {
            Some(log) => self.command.stdout(log.stdio()?),
            None => self.command.stdout(Stdio::piped()),
        };
        self.finish_with_output(false)
    }

    fn finish_with_output(mut self, stdout_is_the_answer: bool) -> Result<Output> {
        let shown = self.shown();
        match &self.log {
            Some(log) => {
                log.note(&format!("$ {shown}"))?;
                self.command.stderr(log.stdio()?);
            }
            None => {
                self.command.stderr(Stdio::piped());
            }
        }
        let mut text = None;
        match std::mem::replace(&mut self.input, Input::Nothing) {
            Input::Nothing => self.command.stdin(Stdio::null()),
            Input::Text(given) => {
                text = Some(given);
                self.command.stdin(Stdio::piped())
            }
            Input::File(path) => {
                self.command.stdin(File::open(&path).with_context(|| format!("cannot read {}", path.display()))?)
            }
        };
        if self.shielded {
            // A terminal sends Ctrl-C to the harness's own group.
            self.command.process_group(0);
        } else {
            interrupt::check()?;
        }
        let child =
            self.command.spawn().map_err(|error| anyhow!("cannot run {}: {error}", self.program.to_string_lossy()))?;
        let output = wait(child, text, self.shielded).with_context(|| format!("cannot wait for `{shown}`"))?;
        if output.status.success() {
            return Ok(output);
        }
        if !self.shielded {
            interrupt::check()?;
        }
        let mut said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if said.is_empty() && !stdout_is_the_answer {
            String::from_utf8_lossy(&output.stdout).trim().clone_into(&mut said);
        }
        let said = tail(&said, 15);
        bail!("`{shown}` failed ({}){}{said}", output.status, if said.is_empty() { "" } else { ": " })
    }

    /// The command as a person would type it, cut to a readable length.
    fn shown(&self) -> String {
        let mut shown = Path::new(&self.program).file_name().unwrap_or(&self.program).to_string_lossy().into_owned();
        for argument in self.command.get_args() {
            shown.push(' ');
            shown.push_str(&argument.to_string_lossy().replace('\n', " "));
        }
        match shown.char_indices().nth(160) {
            Some((cut, _)) => format!("{}…", &shown[..cut]),
            None => shown,
        }
    }
}

impl From<Command> for Run {
    fn from(command: Command) -> Self {
        let program = command.get_program().to_owned();
        Self { program, command, log: None, input: Input::Nothing, shielded: false }
    }
}

fn wait(mut child: Child, text: Option<String>, shielded: bool) -> Result<Output> {
    let registered = (!shielded).then(|| interrupt::register(child.id()));
    let writer = text.and_then(|text| {
        child.stdin.take().map(|mut pipe| {
            thread::spawn(move || {
                // A program that ends before reading everything has its own reason and says it.
                let _ = pipe.write_all(text.as_bytes());
            })
        })
    });
    let output = child.wait_with_output()?;
    if let Some(writer) = writer {
        let _ = writer.join();
    }
    drop(registered);
    Ok(output)
}

/// Where `program` is on PATH.
#[must_use]
pub fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Where `program` is on PATH, or a sentence that says what to install.
pub fn need(program: &str, cure: &str) -> Result<PathBuf> {
    on_path(program).ok_or_else(|| anyhow!("`{program}` is not on PATH: {cure}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_program_hears_when_it_is_told_to_stop() {
        interrupt::install().unwrap();
        let error = Run::new("sh").args(["-c", "kill -s TERM $$; echo went on"]).output().unwrap_err().to_string();
        assert!(error.contains("signal: 15"), "{error}");
    }

    #[test]
    fn a_failure_names_the_command_its_status_and_what_it_said() {
        let error = Run::new("sh").args(["-c", "echo no room >&2; exit 3"]).execute().unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("exit status: 3"), "{error}");
        assert!(error.ends_with("no room"), "{error}");
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = Run::new("no-such-program").execute().unwrap_err().to_string();
        assert!(error.contains("cannot run no-such-program"), "{error}");
    }

    #[test]
    fn text_reaches_standard_input_and_the_answer_comes_back() {
        assert_eq!(Run::new("cat").input("one\ntwo\n").output().unwrap(), "one\ntwo");
    }

    #[test]
    fn a_program_that_hangs_does_not_succeed() {
        assert!(!Run::new("sleep").arg("60").succeeds_within(Duration::from_millis(50)));
    }
}
