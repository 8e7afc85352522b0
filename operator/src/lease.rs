//! Leader election over a `coordination.k8s.io/v1` Lease: of several operators, one works.
//!
//! Every write carries the resourceVersion it was decided on, so of two takers one wins and the other is told. A leader that
//! cannot renew stops holding the lease, by its own clock, `renew_within` after the renewal that last succeeded was *sent*; others take
//! it `duration` after they last *saw* it change, by theirs. As the first is shorter, nobody leads beside another, however late a
//! request or its answer may be.

mod candidate;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::candidate::{Candidate, Next};

/// How long a lease lasts and how often it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    duration: Duration,
    renew_within: Duration,
    retry: Duration,
}

impl Timing {
    /// A lease of `duration` (whole seconds) that its holder gives up for lost when it could not renew it for `renew_within`, and
    /// renews every `retry`; `None` unless `retry < renew_within < duration`.
    #[must_use]
    pub fn new(duration: Duration, renew_within: Duration, retry: Duration) -> Option<Self> {
        let whole = duration.subsec_nanos() == 0;
        (whole && retry < renew_within && renew_within < duration).then_some(Self { duration, renew_within, retry })
    }
}

impl Default for Timing {
    /// 15 s, 10 s and 2 s, as the controllers of Kubernetes have it.
    fn default() -> Self {
        Self { duration: Duration::from_secs(15), renew_within: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// One operator's part in the election.
pub struct Election {
    api: Api<Lease>,
    candidate: Candidate,
    timing: Timing,
    held_until: watch::Sender<Option<Instant>>,
}

/// Whether this operator leads, at this moment.
#[derive(Clone, Debug)]
pub struct Leadership {
    held_until: watch::Receiver<Option<Instant>>,
}

impl Election {
    /// Takes part as `identity`, which no other process may ever have: a pod's name is not enough, for a container restarts in it.
    #[must_use]
    pub fn new(client: Client, namespace: &str, lease: &str, identity: &str, timing: Timing) -> (Self, Leadership) {
        let (held_until, receiver) = watch::channel(None);
        let election = Self {
            api: Api::namespaced(client, namespace),
            candidate: Candidate::new(lease, identity, timing.duration),
            timing,
            held_until,
        };
        (election, Leadership { held_until: receiver })
    }

    /// Takes and renews the lease until `stop`, then gives it back so that another need not wait for its end. Cancel `stop` only when
    /// nothing that needs the lease runs any more.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.attempt() => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(self.timing.retry) => {}
            }
        }
        self.release().await;
    }

    async fn attempt(&mut self) {
        // Whatever takes longer is tried anew, so that one lost answer does not cost the lease.
        let patience = self.timing.renew_within / 3;
        match tokio::time::timeout(patience, self.try_once()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.candidate.forget();
                warn!(error = %error, "cannot read or write the lease");
            }
            Err(_) => {
                self.candidate.forget();
                warn!("no answer about the lease within {} ms", patience.as_millis());
            }
        }
    }

    async fn try_once(&mut self) -> Result<(), kube::Error> {
        if !self.candidate.holds() {
            let lease = self.api.get_opt(self.candidate.lease_name()).await?;
            self.candidate.saw(lease, Instant::now());
        }
        let sent = Instant::now();
        let written = match self.candidate.next(sent, Timestamp::now()) {
            Next::Follow(holder) => {
                debug!(holder, "another operator leads");
                self.held_until.send_replace(None);
                return Ok(());
            }
            Next::Create(lease) => self.api.create(&PostParams::default(), &lease).await,
            Next::Replace(lease) => self.api.replace(self.candidate.lease_name(), &PostParams::default(), &lease).await,
        };
        match written {
            Ok(lease) => {
                self.candidate.saw(Some(lease), Instant::now());
                let before = self.held_until.send_replace(Some(sent + self.timing.renew_within));
                if before.is_none_or(|until| until <= sent) {
                    info!("this operator leads");
                }
                Ok(())
            }
            // Somebody else wrote first; who leads now is read at the next attempt.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                self.candidate.forget();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn release(mut self) {
        self.held_until.send_replace(None);
        let Some(lease) = self.candidate.released(Timestamp::now()) else {
            return;
        };
        let name = self.candidate.lease_name().to_owned();
        let write = async { self.api.replace(&name, &PostParams::default(), &lease).await };
        match tokio::time::timeout(self.timing.retry, write).await {
            Ok(Ok(_)) => info!("gave the lease back"),
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                info!("the lease had already passed to another");
            }
            Ok(Err(error)) => warn!(error = %error, "cannot give the lease back; it ends by itself"),
            Err(_) => warn!("no answer to giving the lease back; it ends by itself"),
        }
    }
}

impl Leadership {
    /// Whether the lease is held now. Ask before each write.
    #[must_use]
    pub fn held(&self) -> bool {
        self.held_until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the lease is held. Never ends when the election has.
    pub async fn acquired(&mut self) {
        while !self.held() {
            if self.held_until.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the lease is held no more.
    pub async fn lost(&mut self) {
        loop {
            let Some(until) = *self.held_until.borrow_and_update() else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {
                    if !self.held() {
                        return;
                    }
                }
                changed = self.held_until.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_timing_in_which_two_could_lead_is_refused() {
        let timing = |duration, renew, retry| {
            Timing::new(Duration::from_secs(duration), Duration::from_secs(renew), Duration::from_secs(retry))
        };
        assert_eq!(timing(15, 10, 2), Some(Timing::default()));
        assert_eq!(timing(10, 10, 2), None);
        assert_eq!(timing(15, 2, 2), None);
        assert_eq!(Timing::new(Duration::from_millis(1500), Duration::from_secs(1), Duration::ZERO), None);
    }

    const MOMENT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn leadership_ends_by_the_clock_alone() {
        let (sender, receiver) = watch::channel(None);
        let mut leadership = Leadership { held_until: receiver };
        assert!(!leadership.held());
        leadership.lost().await;

        let begin = Instant::now();
        sender.send_replace(Some(begin + MOMENT));
        leadership.acquired().await;
        leadership.lost().await;
        assert!(begin.elapsed() >= MOMENT);
        assert!(!leadership.held());
    }

    #[tokio::test]
    async fn a_renewal_prolongs_leadership_and_a_release_ends_it_at_once() {
        let (sender, receiver) = watch::channel(None);
        let mut leadership = Leadership { held_until: receiver };
        let begin = Instant::now();
        sender.send_replace(Some(begin + MOMENT));
        let waiting = tokio::spawn(async move {
            leadership.lost().await;
            begin.elapsed()
        });
        sender.send_replace(Some(begin + MOMENT * 1000));
        tokio::time::sleep(MOMENT * 2).await;
        assert!(!waiting.is_finished());
        sender.send_replace(None);
        assert!(waiting.await.unwrap() < MOMENT * 1000);
    }
}
