//! Things done at once. When one fails the others are stopped: their results would be of no use, and the reason should be seen
//! at once.

use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Error, Result, anyhow};

use crate::interrupt;

/// Does both at once.
pub fn both<A, B: Send>(here: impl FnOnce() -> Result<A>, beside: impl FnOnce() -> Result<B> + Send) -> Result<(A, B)> {
    let reason = Reason::default();
    let (here, beside) = thread::scope(|scope| {
        let beside = scope.spawn(|| reason.unless(beside()));
        let here = reason.unless(here());
        (here, beside.join().unwrap_or_default())
    });
    interrupt::resume();
    match (here, beside) {
        (Some(here), Some(beside)) => Ok((here, beside)),
        _ => Err(reason.given()),
    }
}

/// Runs `work` in two threads, which share what there is to do: enough for two cores, and for waiting beside working.
pub fn twice(work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    both(&work, &work).map(drop)
}

/// Why it failed: the first error. What fails after that fails for being stopped.
#[derive(Default)]
struct Reason(Mutex<Option<Error>>);

impl Reason {
    fn unless<T>(&self, result: Result<T>) -> Option<T> {
        result
            .map_err(|error| {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                interrupt::stop();
            })
            .ok()
    }

    fn given(self) -> Error {
        let reason = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        reason.unwrap_or_else(|| anyhow!("a thread panicked"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::time::{Duration, Instant};

    use anyhow::bail;

    use super::*;
    use crate::command::Run;

    // One test, since a stop is for the whole process.
    #[test]
    fn the_first_failure_stops_the_other_and_is_the_reason() {
        let began = Instant::now();
        let slow = || Run::new("sleep").arg("30").execute();
        let error = both(slow, || -> Result<()> {
            thread::sleep(Duration::from_millis(200));
            bail!("no go")
        })
        .unwrap_err();
        assert_eq!(error.to_string(), "no go");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(both(|| Ok(1), || Ok(2)).unwrap(), (1, 2));
    }
}
