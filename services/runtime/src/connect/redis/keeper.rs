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
use crate::connect::credential::{Credential, Generation, Source};
use crate::telemetry::chain;

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
    /// What it goes by.
    pub(super) by: Arc<By>,
}

/// What a connection goes by. It is used as long as somebody holds this.
#[derive(Debug)]
pub(super) struct By {
    credential: Credential,
    _generation: Arc<Generation>,
}

impl By {
    pub(super) fn new(credential: Credential, generation: Arc<Generation>) -> Self {
        Self { credential, _generation: generation }
    }

    /// Whether it is the same credential.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.credential == other.credential
    }
}

/// Why a connection is not kept any longer.
enum End {
    /// It is no good any more, for this reason.
    Over(&'static str),
    /// The file says otherwise by now.
    Moved(Credential),
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
                let mut link = Link { number, connection, client, way, by: reports.by(&route) };
                state.send_replace(State::Up(link.clone()));
                route.hurry(false);
                backoff.reset();
                let reason = loop {
                    let end = tokio::select! {
                        () = state.closed() => return,
                        end = end_of(&link, &mut route, &reports) => end,
                    };
                    let credential = match end {
                        End::Over(reason) => break reason,
                        End::Moved(credential) => credential,
                    };
                    // Who works by the old connection finishes there; it is closed with the last of them.
                    match another(&route, credential).await {
                        Ok((fresh, (client, connection, way))) => {
                            route = fresh;
                            number += 1;
                            tracing::info!(server = %way, "connected to Redis by another URL");
                            link = Link { number, connection, client, way, by: reports.by(&route) };
                            state.send_replace(State::Up(link.clone()));
                            route.hurry(false);
                        }
                        // It is tried again at the next look.
                        Err(error) => {
                            tracing::warn!(error, "another URL of Redis does not work; keeping the old one");
                        }
                    }
                };
                tracing::warn!(server = %link.way, reason, "the connection to Redis is over; looking for the master");
                state.send_replace(State::Connecting);
            }
            Err(error) => {
                if !matches!(*state.borrow(), State::Down(_)) {
                    tracing::warn!(error = chain(&error), "there is no Redis; trying again");
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

/// A connection by another credential, while the one before is still there.
async fn another(
    route: &Route,
    credential: Credential,
) -> Result<(Route, (Client, MultiplexedConnection, Way)), String> {
    let mut fresh = route.another(credential).map_err(|error| chain(&error))?;
    fresh.hurry(true);
    let opened = timeout(ATTEMPT, fresh.open()).await.unwrap_or_else(|_| Err(late()));
    let opened = opened.map_err(|error| chain(&error))?;
    Ok((fresh, opened))
}

/// Waits until a connection is no good any more, or another is wanted, and says why.
async fn end_of(link: &Link, route: &mut Route, reports: &Reports) -> End {
    let mut lost = reports.lost.subscribe();
    let (source, used): (Source, Credential) = (route.source().clone(), route.credential().clone());
    let mut moved = std::pin::pin!(source.differs(&used));
    loop {
        tokio::select! {
            () = broke(&mut lost, link) => return End::Over(BROKE),
            () = route.left(&link.way) => return End::Over("the sentinels name another master"),
            credential = &mut moved => return End::Moved(credential),
            () = reports.doubt.notified() => {
                if !route.leads_to_master(&mut link.connection.clone()).await {
                    return End::Over("its server is master no more");
                }
                tokio::select! {
                    () = broke(&mut lost, link) => return End::Over(BROKE),
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
