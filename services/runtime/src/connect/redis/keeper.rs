//! The task that keeps a connection to the master.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, RedisError, RedisResult};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Reports;
use super::route::{Route, Way};
use crate::backoff::Backoff;

/// How long an attempt to connect may take, all of it.
const ATTEMPT: Duration = Duration::from_secs(3);
/// The longest wait between two attempts: what clients see of Redis coming back.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A connection is not doubted more often than this, however many commands are refused.
const DOUBT_EVERY: Duration = Duration::from_secs(1);

const BROKE: &str = "it broke";

/// What is known of the connection.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process, and it is Up nearly always")]
pub(super) enum State {
    /// It is being made; whether that succeeds will be known in a moment.
    Connecting,
    /// It is there.
    Up(Link),
    /// It could not be made, for this reason, and is tried again.
    Down(RedisError),
}

/// A connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Its number among all that were made.
    pub(super) number: u64,
    /// What commands go by.
    pub(super) connection: MultiplexedConnection,
    /// Makes further connections to the same server.
    pub(super) client: Client,
    /// How it was found.
    pub(super) way: Way,
}

impl State {
    /// The connection or why there is none; nothing if that will turn out in a moment.
    pub(super) fn known(&self) -> Option<RedisResult<Link>> {
        match self {
            Self::Connecting => None,
            Self::Up(link) => Some(Ok(link.clone())),
            Self::Down(error) => Some(Err(error.clone())),
        }
    }
}

/// Keeps it until nobody holds it any more.
pub(super) async fn keep(mut route: Route, state: watch::Sender<State>, reports: Arc<Reports>) {
    let mut backoff = Backoff::new();
    let mut number = 0;
    loop {
        route.hurry(true);
        let attempt = timeout(ATTEMPT, route.open());
        let opened = tokio::select! {
            () = state.closed() => return,
            opened = attempt => opened.unwrap_or_else(|_| Err(late())),
        };
        match opened {
            Ok((client, connection, way)) => {
                number += 1;
                tracing::info!(server = %way, "connected to Redis");
                let link = Link { number, connection, client, way };
                state.send_replace(State::Up(link.clone()));
                route.hurry(false);
                backoff.reset();
                tokio::select! {
                    () = state.closed() => return,
                    reason = end_of(&link, &mut route, &reports) => {
                        tracing::warn!(server = %link.way, reason, "the connection to Redis is over; looking for the master");
                    }
                }
                state.send_replace(State::Connecting);
            }
            Err(error) => {
                if !matches!(*state.borrow(), State::Down(_)) {
                    tracing::warn!(error = crate::telemetry::chain(&error), "there is no Redis; trying again");
                }
                state.send_replace(State::Down(error));
                let pause = backoff.failed().min(LONGEST_PAUSE);
                tokio::select! {
                    () = state.closed() => return,
                    () = sleep(pause) => {}
                    () = route.changed() => {}
                }
            }
        }
    }
}

/// Waits until a connection is no good any more, and says why.
async fn end_of(link: &Link, route: &mut Route, reports: &Reports) -> &'static str {
    let mut lost = reports.lost.subscribe();
    loop {
        tokio::select! {
            () = broke(&mut lost, link) => return BROKE,
            () = route.left(&link.way) => return "the sentinels name another master",
            () = reports.doubt.notified() => {
                if !route.leads_to_master(&mut link.connection.clone()).await {
                    return "its server is master no more";
                }
                tokio::select! {
                    () = broke(&mut lost, link) => return BROKE,
                    () = sleep(DOUBT_EVERY) => {}
                }
            }
        }
    }
}

/// Waits until somebody has found it broken.
async fn broke(lost: &mut watch::Receiver<u64>, link: &Link) {
    // An error would mean that the sender is gone, which whoever waits here holds.
    let _ = lost.wait_for(|lost| *lost >= link.number).await;
}

fn late() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "Redis does not take the connection in time").into()
}
