//! A server's process: started with a log, awaited, ended.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::guardian;

const POLL: Duration = Duration::from_millis(25);
const GRACE: Duration = Duration::from_secs(30);

/// A running process, leader of a process group of its own. Dropping it kills the group.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to `<folder>/<name>.log`.
    pub(crate) fn start(name: &'static str, folder: &Path, mut command: Command) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = OpenOptions::new().create(true).append(true).open(&log)?;
        // A group of its own keeps Ctrl-C in a terminal from reaching the server before the tests.
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", command.get_program().display()))?;
        guardian::watch(child.id())?;
        Ok(Self { name, child, log })
    }

    /// Waits until `ready` succeeds. The end of the server's log is in the error.
    pub(crate) fn wait_until(&mut self, limit: Duration, ready: impl Fn() -> Result<()>) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let reason = match ready() {
                Ok(()) => return Ok(()),
                Err(reason) => reason,
            };
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.log_end());
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {limit:?}: {reason:#}\n{}", self.name, self.log_end());
            }
            sleep(POLL);
        }
    }

    /// Ends the process as an operating system would: SIGTERM, then SIGKILL when that is not heeded.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.terminate()?;
        self.wait(GRACE).map(drop)
    }

    /// Sends SIGTERM. The server alone is told: what it has started is for it to end.
    pub(crate) fn terminate(&self) -> Result<()> {
        Ok(nix::sys::signal::kill(self.pid(), Signal::SIGTERM)?)
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for the end. The end of the server's log is in the error.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} did not stop within {limit:?}:\n{}", self.name, self.log_end());
            }
            sleep(POLL);
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn log_end(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // ESRCH is all that can come of either, and then there is nothing left to do.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        guardian::forget(self.child.id());
    }
}

/// Runs a command to its end; its output is returned, or is in the error when it failed.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let line = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!("`{}` is not installed", command.get_program().display()),
        _ => error.into(),
    })?;
    if !output.status.success() {
        bail!(
            "{line} failed with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output)
}
