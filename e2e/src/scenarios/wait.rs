//! Waiting for something to become true.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::interrupt;

const POLL: Duration = Duration::from_millis(200);

/// What `attempt` answers once it succeeds; its last error when it has not within `limit`.
pub(crate) fn until<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let error = match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        interrupt::check()?;
        if Instant::now() > deadline {
            return Err(anyhow!("{what}: not within {} s: {error:#}", limit.as_secs()));
        }
        sleep(POLL);
    }
}
