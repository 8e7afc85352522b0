//! Whose cluster it is: a process, told from a later one with the same number by its start time.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pid: u32,
    started: Option<String>,
}

impl Owner {
    /// The running process.
    #[must_use]
    pub fn this_process() -> Self {
        let pid = std::process::id();
        Self { pid, started: start_time(pid) }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn lives(&self) -> bool {
        start_time(self.pid).is_some_and(|started| Some(started) == self.started)
    }
}

/// Field 22 of proc(5)'s `stat`; the second field may hold blanks and brackets, so counting starts after it.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_its_number_is_another_ones() {
        let own = Owner::this_process();
        assert!(own.lives());
        assert!(!Owner { started: Some("1".into()), ..own }.lives());
    }
}
