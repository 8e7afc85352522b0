//! How replicas tell one another: Redis publish and subscribe on one channel.
//!
//! It is the quick way, and may lose: a publication that fails is dropped after a few attempts, a subscription that breaks misses what was
//! published meanwhile. What has a number is then found missing and fetched from the database (see [`super::delivery`]).

use std::time::Duration;

use contract::id::UserId;
use mongodb::bson;
use runtime::connect::Redis;
use runtime::connect::redis::Heard;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Live;
use super::inlet::{Inlet, Input};
use super::revocation::{REVOCATIONS, Revocations};

const CHANNEL: &str = "chat:fanout";
/// Publications that may wait for Redis. Beyond that they are dropped, and found missing.
const MOST_WAITING: usize = 4096;
const PUBLISH_ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// How soon sessions are checked again, where they could not be.
const CHECK_AGAIN: Duration = Duration::from_secs(1);

/// Where changes go to be shown to whoever is connected, here and elsewhere. Clones share it.
#[derive(Clone, Debug)]
pub struct Fanout {
    inlet: Inlet,
    publications: mpsc::Sender<Vec<Live>>,
}

/// The end that talks to Redis.
pub struct Relay {
    replica: String,
    inlet: Inlet,
    publications: mpsc::Receiver<Vec<Live>>,
}

#[derive(Serialize, Deserialize)]
struct Publication {
    from: String,
    live: Vec<Live>,
}

/// Joins the sockets of this replica and the other replicas.
#[must_use]
pub fn fanout(replica: String, inlet: Inlet) -> (Fanout, Relay) {
    let (sender, publications) = mpsc::channel(MOST_WAITING);
    (Fanout { inlet: inlet.clone(), publications: sender }, Relay { replica, inlet, publications })
}

impl Fanout {
    /// Passes changes on, in their order. Never waits and never fails: what has been stored is stored.
    pub fn publish(&self, live: Vec<Live>) {
        if live.is_empty() {
            return;
        }
        self.inlet.offer(live.clone());
        if self.publications.try_send(live).is_err() {
            tracing::warn!("Redis does not keep up; other replicas will fetch what they miss");
        }
    }

    /// Somebody was shown here that these are online.
    pub(super) fn shown(&self, online: Vec<UserId>) {
        self.inlet.send(Input::Shown(online));
    }
}

impl Relay {
    /// Publishes and subscribes until it is over; what is to be published by then still is.
    pub async fn run(self, redis: Redis, revocations: Revocations, over: CancellationToken) {
        let Self { replica, inlet, mut publications } = self;
        let publish = async {
            loop {
                let live = tokio::select! {
                    biased;
                    () = over.cancelled(), if !publications.is_closed() => {
                        publications.close();
                        continue;
                    }
                    live = publications.recv() => live,
                };
                let Some(live) = live else { return };
                publish(&redis, Publication { from: replica.clone(), live }).await;
            }
        };
        tokio::join!(publish, over.run_until_cancelled(subscribe(&redis, &replica, &inlet, &revocations)));
    }
}

async fn publish(redis: &Redis, publication: Publication) {
    let bytes = match bson::serialize_to_vec(&publication) {
        Ok(bytes) => bytes,
        Err(error) => return tracing::error!(error = error.to_string(), "cannot encode a publication"),
    };
    let mut redis = redis.clone();
    let mut backoff = FIRST_BACKOFF;
    for attempt in 1..=PUBLISH_ATTEMPTS {
        let sent: Result<(), _> =
            redis::cmd("PUBLISH").arg(CHANNEL).arg(bytes.as_slice()).query_async(&mut redis).await;
        match sent {
            Ok(()) => return,
            Err(error) => tracing::warn!(error = error.to_string(), attempt, "cannot publish to Redis"),
        }
        sleep(backoff).await;
        backoff *= 2;
    }
}

async fn subscribe(redis: &Redis, replica: &str, inlet: &Inlet, revocations: &Revocations) {
    let mut subscription = redis.subscribe(&[CHANNEL, REVOCATIONS]);
    let mut check_at = None::<Instant>;
    let check = async || match revocations.check_all().await {
        Ok(()) => None,
        Err(error) => {
            tracing::warn!(error = error.to_string(), "cannot check sessions; trying again in {CHECK_AGAIN:?}");
            Some(Instant::now() + CHECK_AGAIN)
        }
    };
    loop {
        let heard = tokio::select! {
            heard = subscription.next() => heard,
            () = sleep_until(check_at.unwrap_or_else(Instant::now)), if check_at.is_some() => {
                check_at = check().await;
                continue;
            }
        };
        match heard {
            // Whatever was said while nobody listened has to be found out otherwise.
            Heard::Joined(deaf_for) => {
                inlet.missed(deaf_for);
                check_at = check().await;
            }
            Heard::Message(message) if message.get_channel_name() == REVOCATIONS => {
                revocations.announced(message.get_payload_bytes());
            }
            Heard::Message(message) => match bson::deserialize_from_slice::<Publication>(message.get_payload_bytes()) {
                Ok(publication) if publication.from == replica => {}
                Ok(publication) => inlet.offer(publication.live),
                Err(error) => tracing::warn!(error = error.to_string(), "cannot read a publication"),
            },
        }
    }
}
