//! The phases of a graceful stop, as tokens that anything long-lived can wait on.

use std::{future::Future, io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// Who tells the process to stop: SIGTERM, as the kubelet sends it, or SIGINT, as a terminal does. Both are heard from now on; what is
/// awaited answers the name of the first.
pub(crate) fn asked_to_stop() -> io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// A stop goes: *draining* (not ready any more, still serving, so that load balancers turn away and clients let go of their connections), *soft*
/// (no new work; finish what is in hand and close long-lived connections), *hard* (give up what is still running).
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    soft: CancellationToken,
    hard: CancellationToken,
    in_hand: TaskTracker,
}

impl Shutdown {
    /// Nothing is stopping yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled as soon as the process is told to stop: readiness goes off.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Cancelled when no new work may begin: consumers stop fetching, sockets are asked to leave.
    #[must_use]
    pub fn soft(&self) -> &CancellationToken {
        &self.soft
    }

    /// Cancelled when time is up.
    #[must_use]
    pub fn hard(&self) -> &CancellationToken {
        &self.hard
    }

    /// Begins the stop, as SIGTERM does.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    /// Work that the stop must wait for: hold the token while it lasts. Connections hold one by themselves, upgraded
    /// ones included.
    pub fn in_hand(&self) -> TaskTrackerToken {
        self.in_hand.token()
    }

    /// Spawns a future that the stop must wait for, until time is up.
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let hard = self.hard.clone();
        self.in_hand.spawn(async move { hard.run_until_cancelled(future).await })
    }

    /// Walks through the phases once [`Shutdown::begin`] was called: `settle` for load balancers to turn away, then up to
    /// `drain` for what is in hand. True if everything ended by itself.
    pub(crate) async fn walk(&self, settle: Duration, drain: Duration) -> bool {
        self.draining.cancelled().await;
        tokio::time::sleep(settle).await;
        self.soft.cancel();
        self.in_hand.close();
        let clean = tokio::time::timeout(drain, self.in_hand.wait()).await.is_ok();
        self.hard.cancel();
        clean
    }

    /// How many pieces of work are in hand.
    #[must_use]
    pub fn count_in_hand(&self) -> usize {
        self.in_hand.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_work_in_hand_and_is_clean_when_it_ends() {
        let shutdown = Shutdown::new();
        let soft = shutdown.soft().clone();
        let work = shutdown.spawn(async move {
            soft.cancelled().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        });
        shutdown.begin();
        let began = tokio::time::Instant::now();
        assert!(shutdown.walk(Duration::from_millis(200), Duration::from_mins(1)).await);
        assert!(began.elapsed() >= Duration::from_millis(500));
        assert_eq!(work.await.unwrap(), Some("done"));
    }

    #[tokio::test]
    async fn work_that_does_not_end_is_given_up_when_time_is_up() {
        let shutdown = Shutdown::new();
        let work = shutdown.spawn(std::future::pending::<()>());
        shutdown.begin();
        assert!(!shutdown.walk(Duration::ZERO, Duration::from_millis(100)).await);
        assert_eq!(work.await.unwrap(), None);
    }
}
