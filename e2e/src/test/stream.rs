//! Programs whose output is read while they run.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _, pipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::interrupt;
use crate::progress::tail;

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
pub(super) fn stream(mut command: Command, log: &Path, mut line: impl FnMut(&str)) -> Result<Ended> {
    interrupt::check()?;
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let (reader, writer) = pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child =
        command.spawn().with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    let registered = interrupt::register(child.id());
    // The command holds ends of the pipe, which would keep it from ever being read to its end.
    drop(command);
    for read in BufReader::new(reader).split(b'\n') {
        let read = read?;
        let text = String::from_utf8_lossy(&read);
        writeln!(file, "{text}")?;
        line(&text);
    }
    let status = child.wait()?;
    drop(registered);
    interrupt::check()?;
    Ok(Ended { succeeded: status.success(), log: log.to_owned() })
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
}
