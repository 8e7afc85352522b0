//! The workers that send what is due, the same for every way to people: e-mail and push.
//!
//! That something is due stands in its own document, so no crash loses it. A worker claims one that is due, sends it, and records it as
//! sent. While it is claimed no other worker takes it, so in ordinary operation it is sent once. Should the process die between the
//! server's "accepted" and the record, the claim runs out and it is sent again: at least once.

mod schedule;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use contract::{id::UserId, notification::NotificationPreferences};
use futures::future::join_all;
use jiff::Timestamp;
use mongodb::error::Error;
use runtime::clock::Clock;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use self::schedule::pause;
use crate::{
    counters::Sending,
    preferences::quiet_until,
    store::{Preferences, later},
};

/// How long a worker rests at most: what another replica left behind is found after so long.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// How long a server may have us wait: what it says beyond that is taken for a mistake.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// A way to people.
pub trait Channel: Send + Sync + 'static {
    /// What is sent by it, for the log.
    const NAME: &'static str;

    /// What one worker has claimed.
    type Due: Send + Sync;

    /// Claims what has been due longest, so that nobody else gets it for longer than sending takes.
    fn claim(&self, now: Timestamp) -> impl Future<Output = Result<Option<Claimed<Self::Due>>, Error>> + Send;

    /// When the next is due, if there is one.
    fn next_due(&self) -> impl Future<Output = Result<Option<Timestamp>, Error>> + Send;

    /// Sends it.
    fn send(&self, due: &Claimed<Self::Due>) -> impl Future<Output = Outcome> + Send;

    /// Records that it has been sent, or is not going to be for this reason.
    fn settle(
        &self,
        due: &Self::Due,
        now: Timestamp,
        dropped: Option<&str>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Lets it be tried again from `until` on; `afresh` as if it had come up only then.
    fn postpone(
        &self,
        due: &Self::Due,
        until: Timestamp,
        afresh: bool,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// What one worker has claimed.
#[derive(Clone, Debug)]
pub struct Claimed<D> {
    /// Its id, for the log.
    pub id: String,
    /// How many times it has been claimed, this time included.
    pub attempts: u32,
    /// The thing itself.
    pub due: D,
}

/// What became of one that was claimed.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server has it.
    Sent,
    /// It is tried later; the fault lies with the recipient or with nobody.
    NotYet(String),
    /// Nobody is to be disturbed until then.
    Quiet(Timestamp),
    /// It is tried later; the server takes nothing at present.
    ServerAway {
        /// Why.
        reason: String,
        /// For how long, where the server says so.
        retry_after: Option<Duration>,
    },
    /// It is not going to be sent, as the recipient does not want it.
    Unwanted(&'static str),
    /// It is not going to be sent.
    GivenUp(String),
}

/// Sends what is due by one channel.
#[derive(Debug)]
pub struct Workers<C> {
    channel: C,
    clock: Clock,
    counters: Sending,
    bell: Arc<Notify>,
    /// Until when the server wants to be left alone.
    closed_until: Mutex<Timestamp>,
}

enum Progress {
    /// One has been settled or put off; there may be another.
    Settled,
    /// The server takes nothing at present.
    ServerAway,
    /// There is nothing to do for so long.
    NothingDue(Duration),
}

impl<C: Channel> Workers<C> {
    /// Workers that `bell` wakes when something has become due.
    pub fn new(channel: C, clock: Clock, counters: Sending, bell: Arc<Notify>) -> Self {
        Self { channel, clock, counters, bell, closed_until: Mutex::new(Timestamp::MIN) }
    }

    /// Sends until `stop`, `count` at once; what has been claimed is finished first.
    pub async fn run(self, count: u32, stop: CancellationToken) {
        join_all((0..count).map(|_| self.work(&stop))).await;
    }

    async fn work(&self, stop: &CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let rung = self.bell.notified();
            tokio::pin!(rung);
            // From here on a bell is heard, even one that rings before the wait below.
            rung.as_mut().enable();
            let rest = match self.send_next().await {
                Ok(Progress::Settled) => {
                    failures = 0;
                    continue;
                }
                Ok(Progress::NothingDue(rest)) => rest,
                Ok(Progress::ServerAway) => {
                    failures += 1;
                    // Nothing else would fare better now, so the bell does not matter.
                    let rest = pause(failures, &mut rand::rng());
                    rested(stop, rest).await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(channel = C::NAME, error = %error, "what is due cannot be looked up");
                    failures += 1;
                    pause(failures, &mut rand::rng())
                }
            };
            tokio::select! {
                () = rung => {}
                () = rested(stop, rest) => {}
            }
        }
    }

    async fn send_next(&self) -> Result<Progress, Error> {
        let now = self.clock.now();
        let closed_until = *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        if now < closed_until {
            return Ok(Progress::NothingDue(between(now, closed_until).min(LONGEST_REST)));
        }
        let Some(claimed) = self.channel.claim(now).await? else {
            return Ok(Progress::NothingDue(self.rest().await?));
        };
        let outcome = self.channel.send(&claimed).await;
        self.record(&claimed, outcome).await
    }

    async fn record(&self, claimed: &Claimed<C::Due>, outcome: Outcome) -> Result<Progress, Error> {
        let Claimed { id, attempts, due } = claimed;
        let (channel, now) = (C::NAME, self.clock.now());
        match outcome {
            Outcome::Sent => {
                self.channel.settle(due, now, None).await?;
                self.counters.sent.inc();
            }
            Outcome::Unwanted(reason) => {
                tracing::debug!(channel, id, reason, "not sent");
                self.channel.settle(due, now, Some(reason)).await?;
            }
            Outcome::GivenUp(reason) => {
                tracing::warn!(channel, id, reason, "given up");
                self.channel.settle(due, now, Some(&reason)).await?;
                self.counters.given_up.inc();
            }
            Outcome::Quiet(until) => {
                tracing::debug!(channel, id, %until, "put off to the end of quiet hours");
                self.channel.postpone(due, until, true).await?;
            }
            Outcome::NotYet(reason) => {
                tracing::info!(channel, id, reason, attempts, "postponed");
                let until = later(now, pause(*attempts, &mut rand::rng()));
                self.channel.postpone(due, until, false).await?;
            }
            Outcome::ServerAway { reason, retry_after } => {
                tracing::warn!(channel, id, error = reason, ?retry_after, attempts, "postponed");
                let asked = retry_after.unwrap_or_default().min(LONGEST_WAIT);
                self.close_until(later(now, asked));
                let until = later(now, pause(*attempts, &mut rand::rng()).max(asked));
                self.channel.postpone(due, until, false).await?;
                self.counters.failures.inc();
                return Ok(Progress::ServerAway);
            }
        }
        Ok(Progress::Settled)
    }

    fn close_until(&self, until: Timestamp) {
        let mut closed_until = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed_until = until.max(*closed_until);
    }

    /// Until the next one is due, within reason.
    async fn rest(&self) -> Result<Duration, Error> {
        let next = self.channel.next_due().await?;
        Ok(next.map_or(LONGEST_REST, |due| between(self.clock.now(), due)).min(LONGEST_REST))
    }
}

/// What a user's preferences make of a notification that is about to be sent; none if it may go.
pub(crate) async fn held_back(
    preferences: &Preferences,
    user: UserId,
    wants: impl FnOnce(&NotificationPreferences) -> bool,
    now: Timestamp,
) -> Option<Outcome> {
    let preferences = match preferences.of(user).await {
        Ok(preferences) => preferences,
        Err(error) => return Some(Outcome::NotYet(format!("preferences cannot be looked up: {error}"))),
    };
    if !wants(&preferences) {
        return Some(Outcome::Unwanted("the user wants none"));
    }
    preferences.quiet_hours.and_then(|hours| quiet_until(&hours, now)).map(Outcome::Quiet)
}

async fn rested(stop: &CancellationToken, rest: Duration) {
    // Both ends of the wait mean the same: look again.
    let _ = stop.run_until_cancelled(sleep(rest)).await;
}

fn between(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}
