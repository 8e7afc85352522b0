//! Sessions that end before their tokens do: a log-out reaches their sockets at once.

use contract::id::{SessionId, UserId};
use redis::RedisError;
use runtime::connect::Redis;
use serde::Deserialize;

use super::Hub;

/// The channel on which a log-out is announced.
pub(super) const REVOCATIONS: &str = "auth:revocations";

/// Watches for revoked sessions. Clones share it.
#[derive(Clone)]
pub struct Revocations {
    redis: Redis,
    hub: Hub,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announcement {
    sid: SessionId,
    user_id: UserId,
}

impl Revocations {
    /// Of the sessions that have sockets in `hub`.
    #[must_use]
    pub fn new(redis: Redis, hub: Hub) -> Self {
        Self { redis, hub }
    }

    /// Whether a session has been revoked.
    pub async fn is_revoked(&self, session: SessionId) -> Result<bool, RedisError> {
        let mut redis = self.redis.clone();
        redis::cmd("EXISTS").arg(format!("auth:revoked:{session}")).query_async(&mut redis).await
    }

    /// Ends a session's sockets if it has been revoked. For a socket that was just connected: the announcement may have come before it did.
    pub async fn check(&self, user: UserId, session: SessionId) {
        match self.is_revoked(session).await {
            Ok(false) => {}
            Ok(true) => self.hub.revoke(user, session),
            Err(error) => tracing::warn!(error = error.to_string(), "cannot check a session"),
        }
    }

    /// The same for all sessions here, after announcements may have been missed.
    ///
    /// # Errors
    /// Redis cannot tell of all: to be done again.
    pub(super) async fn check_all(&self) -> Result<(), RedisError> {
        for (user, session) in self.hub.sessions() {
            if self.is_revoked(session).await? {
                self.hub.revoke(user, session);
            }
        }
        Ok(())
    }

    /// Heard on the channel.
    pub(super) fn announced(&self, payload: &[u8]) {
        match serde_json::from_slice::<Announcement>(payload) {
            Ok(Announcement { sid, user_id }) => self.hub.revoke(user_id, sid),
            Err(error) => tracing::warn!(error = error.to_string(), "cannot read the announcement of a log-out"),
        }
    }
}
