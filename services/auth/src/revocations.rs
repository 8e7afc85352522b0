//! Making known that a session is over, so that its access tokens are refused before they expire.
//!
//! The database says that a session has ended and that this is yet to be made known; Redis is told right after. Where
//! that fails, the sweep tells it later: no end of a session is forgotten, whatever is down when it happens.

use std::time::Duration;

use contract::claims::ACCESS_TOKEN_LIFETIME;
use contract::id::{SessionId, UserId};
use jiff::SignedDuration;
use runtime::connect::Redis;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::store::SessionStore;

/// The channel on which ends of sessions are published.
pub const CHANNEL: &str = "auth:revocations";

/// How often the sweep looks for ends that another instance could not make known.
const SWEEP: Duration = Duration::from_secs(5);

/// How long a replica may take to have what was written; one that keeps up takes a millisecond.
const COPIED_WITHIN: Duration = Duration::from_millis(500);

/// How long an end is remembered: for the life of an access token, and what the clocks of those who check it may lag.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(ACCESS_TOKEN_LIFETIME.as_secs() + 10);

/// The key that exists in Redis while access tokens of an ended session could still be good.
#[must_use]
pub fn key(session: SessionId) -> String {
    format!("auth:revoked:{session}")
}

/// What is published.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Revocation {
    sid: SessionId,
    user_id: UserId,
}

/// Makes ends of sessions known through Redis.
#[derive(Clone)]
pub struct Revocations {
    redis: Redis,
    store: SessionStore,
}

#[derive(Debug, thiserror::Error)]
enum AnnounceError {
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("redis: no replica has it within {} ms", COPIED_WITHIN.as_millis())]
    NotCopied,
    #[error("mongodb: {0}")]
    Database(#[from] mongodb::error::Error),
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
}

impl Revocations {
    /// Announces through `redis` what `store` has to announce.
    #[must_use]
    pub fn new(redis: Redis, store: SessionStore) -> Self {
        Self { redis, store }
    }

    /// Makes known that `session` has ended. What fails is left to the sweep.
    pub async fn announce(&self, session: SessionId, user: UserId) {
        if let Err(error) = self.try_announce(session, user).await {
            tracing::warn!(%session, %error, "the end of a session could not be made known yet");
        }
    }

    /// Announces what is left over, until `stop`.
    pub async fn sweep(self, stop: CancellationToken) {
        loop {
            match self.store.unannounced().await {
                Ok(left) => {
                    for (session, user) in left {
                        self.announce(session, user).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "ended sessions could not be read"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
        }
    }

    async fn try_announce(&self, session: SessionId, user: UserId) -> Result<(), AnnounceError> {
        let message = serde_json::to_string(&Revocation { sid: session, user_id: user })?;
        let seconds = REMEMBERED.as_secs().unsigned_abs();
        let mut redis = self.redis.clone();
        let mut pipeline = redis::pipe();
        // The key first: whoever hears of it must find it.
        pipeline.set_ex(key(session), 1, seconds).ignore().publish(CHANNEL, message).ignore();
        let replicated = redis.is_replicated();
        if replicated {
            pipeline.cmd("WAIT").arg(1).arg(COPIED_WITHIN.as_millis());
        }
        let copies: Vec<u32> = pipeline.query_async(&mut redis).await?;
        // The database forgets that this was to be made known, so no fail-over of Redis may forget it after that.
        if replicated && copies.iter().all(|copies| *copies == 0) {
            return Err(AnnounceError::NotCopied);
        }
        self.store.announced(session).await?;
        Ok(())
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Revocations").finish_non_exhaustive()
    }
}
