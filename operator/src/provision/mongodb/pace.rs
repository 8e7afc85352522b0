//! How much one run does. Every change asks for leave first, so that a run ends between two changes and not within one; the next run
//! goes on from whatever is there, as it would after a crash.

use std::time::Duration;

use tokio::time::Instant;

use crate::provision::Error;
use crate::provisioner::DEADLINE;

/// The last moment for a change: late enough for several, and early enough to tell what came of it before the run is cut off.
const LAST_CHANGE: Duration = Duration::from_secs(DEADLINE.as_secs() - 9);
/// How long one run waits for what takes but a moment: an election, a configuration that spreads, a small initial sync.
const WAITS: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// Why a run ends before the set agrees.
pub(super) enum Halt {
    /// It has done its share.
    Spent,
    /// The set, or one of its members, refuses.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a run has changed, and how much more it may.
pub(super) struct Pace {
    steps: usize,
    started: Instant,
    changes: Vec<String>,
}

impl Pace {
    /// A run of at most so many changes.
    pub(super) fn new(steps: usize) -> Self {
        Self { steps, started: Instant::now(), changes: Vec::new() }
    }

    /// Asks for leave to change one thing.
    pub(super) fn step(&mut self) -> Result<(), Halt> {
        if self.started.elapsed() >= LAST_CHANGE {
            return Err(Halt::Spent);
        }
        self.steps = self.steps.checked_sub(1).ok_or(Halt::Spent)?;
        Ok(())
    }

    /// Tells of a change, in a sentence.
    pub(super) fn changed(&mut self, change: impl Into<String>) {
        self.changes.push(change.into());
    }

    /// Waits a moment; false once the run has waited long enough.
    pub(super) async fn wait(&self) -> bool {
        let patient = self.started.elapsed() < WAITS;
        if patient {
            tokio::time::sleep(POLL).await;
        }
        patient
    }

    pub(super) fn into_changes(self) -> Vec<String> {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_run_takes_as_many_steps_as_it_may_and_no_more() {
        let mut pace = Pace::new(2);
        assert!(pace.step().is_ok());
        assert!(pace.step().is_ok());
        assert!(matches!(pace.step(), Err(Halt::Spent)));
    }

    #[test]
    fn a_run_changes_nothing_shortly_before_its_deadline() {
        let started = Instant::now().checked_sub(LAST_CHANGE).unwrap();
        let mut pace = Pace { steps: usize::MAX, started, changes: Vec::new() };
        assert!(matches!(pace.step(), Err(Halt::Spent)));
    }
}
