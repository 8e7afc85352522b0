//! How many files, sockets among them, a process may have open.

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Has this process, and those that it starts from now on, open so many.
pub(super) fn allow(count: u64) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read how many files may be open")?;
    if soft >= count {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, count, hard.max(count)).with_context(|| {
        format!("{count} files must be open at once, and this machine allows {hard}: raise it (`ulimit -Hn {count}` as root), or measure with --quick")
    })
}
