//! What a program of this machine takes, with all processes that it has started.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;

use crate::procfs::{amount, group, processor_time};

/// A process group, named by its leader.
#[derive(Clone, Copy)]
pub(super) struct ProcessGroup(pub(super) u32);

impl ProcessGroup {
    /// The time that it has kept processors busy, of the program and of the kernel on its behalf. Linux counts it exactly and shows it in
    /// hundredths of a second.
    pub(super) fn processor_time(self) -> Result<Duration> {
        let times = self.members()?.iter().filter_map(|(_, stat)| processor_time(stat)).sum();
        Ok(times)
    }

    /// Resident memory in KiB. What processes share is counted for each.
    pub(super) fn resident_kibibytes(self) -> Result<u64> {
        let statuses = self.members()?.into_iter().filter_map(|(id, _)| read(&id, "status").transpose());
        statuses.map(|status| amount(&status?, "VmRSS").context("proc(5) shows no VmRSS")).sum()
    }

    /// Number and `stat` of each process.
    fn members(self) -> Result<Vec<(String, String)>> {
        let mut members = Vec::new();
        for entry in fs::read_dir("/proc").context("cannot list /proc")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            if let Some(stat) = read(&name, "stat")?.filter(|stat| group(stat) == Some(self.0)) {
                members.push((name, stat));
            }
        }
        ensure!(!members.is_empty(), "the program {} has ended", self.0);
        Ok(members)
    }
}

/// A file of a process, or nothing if that has ended.
fn read(id: &str, file: &str) -> Result<Option<String>> {
    match fs::read_to_string(format!("/proc/{id}/{file}")) {
        Ok(text) => Ok(Some(text)),
        // The latter while it ends.
        Err(error)
            if error.kind() == ErrorKind::NotFound
                || Errno::from_raw(error.raw_os_error().unwrap_or_default()) == Errno::ESRCH =>
        {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {file} of process {id}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_children_take_counts_and_what_others_take_does_not() {
        // The shell waits for a child of its own that computes and then waits for its input.
        let script = "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo; read -r _'";
        let mut shell = Command::new("sh")
            .args(["-c", &format!("{script}; true")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = ProcessGroup(shell.id());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take().unwrap()), &mut line).unwrap();
        assert!(group.processor_time().unwrap() > Duration::ZERO);
        assert_eq!(group.members().unwrap().len(), 2);
        assert!(group.resident_kibibytes().unwrap() > 100);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(group.processor_time().unwrap_err().to_string().contains("has ended"));
    }
}
