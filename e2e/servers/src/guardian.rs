//! Makes servers die with the test process and their data go, whatever ends it.
//!
//! A small shell waits at the end of a pipe of which this process holds the other end. However this
//! process ends, SIGKILL included, the kernel closes the pipe; the shell then kills every process
//! group it was told of and removes the data.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result};

const SCRIPT: &str = r#"
groups=
while read -r order group; do
    case $order in
    watch) groups="$groups $group" ;;
    forget)
        others=
        for other in $groups; do [ "$other" = "$group" ] || others="$others $other"; done
        groups=$others
        ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
# A killed server may still be at work in the kernel, and make a file while the folder is emptied.
tries=0
until rm -rf -- "$1" || [ "$tries" -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
"#;

struct Guardian {
    folder: PathBuf,
    orders: Mutex<ChildStdin>,
}

/// Kill the process group `group` when this process ends.
pub(crate) fn watch(group: u32) -> Result<()> {
    guardian()?.order("watch", group)
}

/// The process group is gone; its number may come to belong to someone else.
pub(crate) fn forget(group: u32) {
    if let Ok(guardian) = guardian() {
        // The guardian cannot be gone before this process: nobody else ends it.
        let _ = guardian.order("forget", group);
    }
}

/// The folder of this process for data of servers, removed when the process ends.
pub(crate) fn folder() -> Result<&'static Path> {
    Ok(&guardian()?.folder)
}

impl Guardian {
    fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chatplatform-servers-").tempdir()?.keep();
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "guardian"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the guardian of the servers")?;
        let orders = shell.stdin.take().context("the guardian has no standard input")?;
        Ok(Self { folder, orders: Mutex::new(orders) })
    }

    fn order(&self, order: &str, group: u32) -> Result<()> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(orders, "{order} {group}").context("the guardian of the servers is gone")
    }
}

fn guardian() -> Result<&'static Guardian> {
    static GUARDIAN: OnceLock<Guardian> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(guardian) = GUARDIAN.get() {
        return Ok(guardian);
    }
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(guardian) = GUARDIAN.get() {
        return Ok(guardian);
    }
    let started = Guardian::start()?;
    Ok(GUARDIAN.get_or_init(|| started))
}
