//! Programs whose output is read while they run.

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, Write as _, pipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::interrupt;
use crate::progress::tail;

/// How long a program prints nothing before it is looked at whether it still runs.
const QUIET: Duration = Duration::from_millis(500);

/// The last line of a program that was killed for its silence.
pub(super) const SILENT: &str = "killed, as nothing was heard of it for too long";

/// How a program ended, and where everything it printed is.
pub(super) struct Ended {
    pub(super) succeeded: bool,
    log: PathBuf,
}

impl Ended {
    /// The end of what it printed, for a person to look at.
    pub(super) fn last_lines(&self, count: usize) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        format!("{}\n--- all of it: {}", tail(&String::from_utf8_lossy(&text), count), self.log.display())
    }
}

/// Runs `command`; every line it prints, on either stream, goes to the file `log` and to `line`.
pub(super) fn stream(command: Command, log: &Path, line: impl FnMut(&str)) -> Result<Ended> {
    watched(command, log, None, line)
}

/// The same for a program that may hang: it is killed when it has printed nothing for as long as `patience`. Of that `line` is told as well.
pub(super) fn watched(
    mut command: Command,
    log: &Path,
    patience: Option<Duration>,
    mut line: impl FnMut(&str),
) -> Result<Ended> {
    interrupt::check()?;
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let (reader, writer) = pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot run {name}"))?;
    let registered = interrupt::register(child.id());
    // The command holds ends of the pipe, which would keep it from ever being read to its end.
    drop(command);
    let lines = lines(reader);
    let mut status = None;
    let mut heard = Instant::now();
    // Something that the program started and left behind may hold the pipe open for ever: then the program's end is the end.
    loop {
        match lines.recv_timeout(QUIET) {
            Ok(text) => {
                writeln!(file, "{text}")?;
                line(&text);
                heard = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if status.is_some() => break,
            Err(RecvTimeoutError::Timeout) => {
                status = child.try_wait()?;
                if patience.is_some_and(|patience| status.is_none() && heard.elapsed() > patience) {
                    child.kill()?;
                    writeln!(file, "{SILENT}")?;
                    line(SILENT);
                }
            }
        }
    }
    let status = status.map_or_else(|| child.wait(), Ok)?;
    drop(registered);
    interrupt::check()?;
    Ok(Ended { succeeded: status.success(), log: log.to_owned() })
}

fn lines(reader: PipeReader) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for read in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&read).into_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn both_streams_are_read_and_logged() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 1"]);
        let mut lines = Vec::new();
        let ended = stream(command, &folder.path().join("log"), |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["out", "err"]);
        assert!(!ended.succeeded);
        assert!(ended.last_lines(1).starts_with("err\n"));
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("600");
        let mut lines = Vec::new();
        let patience = Some(Duration::from_millis(100));
        let ended = watched(command, &folder.path().join("log"), patience, |line| lines.push(line.to_owned())).unwrap();
        assert!(!ended.succeeded);
        assert_eq!(lines, [SILENT]);
    }

    #[test]
    fn what_a_program_leaves_behind_does_not_keep_it_from_ending() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!"]);
        let began = std::time::Instant::now();
        let mut left = String::new();
        assert!(stream(command, &folder.path().join("log"), |line| line.clone_into(&mut left)).unwrap().succeeded);
        assert!(began.elapsed() < Duration::from_secs(30));
        Command::new("kill").arg(left).status().unwrap();
    }
}
