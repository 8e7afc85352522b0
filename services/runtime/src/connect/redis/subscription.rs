//! A subscription that goes on when the master changes or the connection breaks.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{PubSubSink, PubSubStream};
use ::redis::{Msg, RedisError, RedisResult};
use futures::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout};

use super::keeper::{By, Link, State};
use super::route::Way;
use crate::backoff::Backoff;

/// How often a quiet subscription is asked whether it still lives, and how long anything may take to be answered.
const PING_EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);

/// Channels that are listened on.
pub struct Subscription {
    state: watch::Receiver<State>,
    channels: Vec<String>,
    backoff: Backoff,
    pause: Duration,
    live: Option<Live>,
    /// Since when nobody listens.
    deaf_since: Instant,
}

/// What happens on a subscription.
#[derive(Debug)]
pub enum Heard {
    /// It has begun, or begun anew: what was said for so long before this was not heard, or longer by the time in which a quiet connection
    /// that broke is noticed.
    Joined(Duration),
    /// Somebody said something.
    Message(Msg),
}

/// Why a connection is not listened on any longer.
enum Over {
    /// It goes by a credential that another has taken the place of.
    Moved,
    /// For this reason.
    Because(String),
}

/// A connection on which it is listened.
struct Live {
    way: Way,
    by: Arc<By>,
    sink: PubSubSink,
    stream: PubSubStream,
    pings: Interval,
}

impl Subscription {
    pub(super) fn new(state: watch::Receiver<State>, channels: &[&str]) -> Self {
        let channels = channels.iter().map(ToString::to_string).collect();
        Self { state, channels, backoff: Backoff::new(), pause: Duration::ZERO, live: None, deaf_since: Instant::now() }
    }

    /// What happens next. Never fails: a subscription that broke is made again, and that is said. May be dropped at any moment.
    pub async fn next(&mut self) -> Heard {
        loop {
            let over = match &mut self.live {
                Some(live) => match live.hear(&mut self.state).await {
                    Ok(message) => return Heard::Message(message),
                    Err(Over::Moved) => {
                        // The new one is there before the old one goes, and what the old one heard meanwhile is not.
                        let since = Instant::now();
                        match self.join().await {
                            Ok(live) => {
                                self.live = Some(live);
                                return Heard::Joined(since.elapsed());
                            }
                            Err(error) => error.to_string(),
                        }
                    }
                    Err(Over::Because(reason)) => reason,
                },
                None => match self.join().await {
                    Ok(live) => {
                        self.live = Some(live);
                        self.backoff.reset();
                        self.pause = Duration::ZERO;
                        return Heard::Joined(self.deaf_since.elapsed());
                    }
                    Err(error) => error.to_string(),
                },
            };
            tracing::warn!(reason = over, "no subscription to Redis; subscribing again");
            if self.live.take().is_some() {
                self.deaf_since = Instant::now();
            }
            self.pause = self.backoff.failed();
        }
    }

    async fn join(&mut self) -> RedisResult<Live> {
        sleep(self.pause).await;
        let link = up(&mut self.state).await;
        let joined = async {
            let (mut sink, stream) = link.client.get_async_pubsub().await?.split();
            sink.subscribe(&self.channels).await?;
            Ok::<_, RedisError>((sink, stream))
        };
        let (sink, stream) = timeout(PATIENCE, joined).await.unwrap_or_else(|_| Err(late()))?;
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Live { way: link.way, by: link.by, sink, stream, pings })
    }
}

impl Live {
    /// The next message, or why there will be none.
    async fn hear(&mut self, state: &mut watch::Receiver<State>) -> Result<Msg, Over> {
        loop {
            tokio::select! {
                biased;
                message = self.stream.next() => return message.ok_or_else(|| Over::Because("the connection was closed".to_owned())),
                over = elsewhere(state, &self.way, &self.by) => return Err(over),
                _ = self.pings.tick() => match timeout(PATIENCE, self.sink.ping::<::redis::Value>()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return Err(Over::Because(error.to_string())),
                    Err(_) => return Err(Over::Because(late().to_string())),
                },
            }
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("channels", &self.channels).finish_non_exhaustive()
    }
}

/// Waits for a connection.
async fn up(state: &mut watch::Receiver<State>) -> Link {
    loop {
        if let State::Up(link) = &*state.borrow_and_update() {
            return link.clone();
        }
        if state.changed().await.is_err() {
            // The keeper is gone with the runtime.
            std::future::pending::<()>().await;
        }
    }
}

/// Waits until the shared connection leads to another server than `way`, or goes by another credential.
async fn elsewhere(state: &mut watch::Receiver<State>, way: &Way, by: &By) -> Over {
    let is_there = |link: &Link| link.way.is_same_server(way) && link.by.is_same(by);
    let is_same_server = match state.wait_for(|state| matches!(state, State::Up(link) if !is_there(link))).await {
        Ok(found) => Some(matches!(&*found, State::Up(link) if link.way.is_same_server(way))),
        Err(_) => None,
    };
    match is_same_server {
        Some(true) => Over::Moved,
        Some(false) => Over::Because("another server is master".to_owned()),
        // The keeper is gone with the runtime.
        None => std::future::pending().await,
    }
}

fn late() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "Redis does not answer in time").into()
}
