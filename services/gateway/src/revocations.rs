//! Sessions that have ended, as the auth service announces them. Redis is asked for each request all the same; what was heard
//! here is gone by while it cannot be asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use contract::id::SessionId;
use moka::sync::Cache;
use redis::RedisResult;
use runtime::connect::{Redis, redis::Heard};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

/// The channel on which the end of a session is announced, and the keys that remember it.
const CHANNEL: &str = "auth:revocations";
const PREFIX: &str = "auth:revoked:";
/// Longer than any access token lives (10 minutes) and clocks differ.
const REMEMBERED: Duration = Duration::from_mins(11);
/// More than end in that time on a platform of millions; each costs about 100 bytes.
const SESSIONS: u64 = 1_000_000;
/// Keys that Redis looks at in one step of a walk through all of them.
const STEP: u32 = 1000;

/// The sessions that ended lately. Clones share them.
#[derive(Debug, Clone)]
pub struct Revocations {
    ended: Cache<SessionId, ()>,
    /// Whether all that had ended before we began to listen was read.
    is_complete: Arc<AtomicBool>,
}

#[derive(Deserialize)]
struct Announcement {
    sid: SessionId,
}

impl Default for Revocations {
    fn default() -> Self {
        let ended = Cache::builder().max_capacity(SESSIONS).time_to_live(REMEMBERED).build();
        Self { ended, is_complete: Arc::default() }
    }
}

impl Revocations {
    /// Whether a session was heard to have ended; none if too little was heard to tell.
    #[must_use]
    pub fn has_ended(&self, session: SessionId) -> Option<bool> {
        let is_complete = self.is_complete.load(Ordering::Acquire);
        if self.ended.contains_key(&session) { Some(true) } else { is_complete.then_some(false) }
    }

    /// Listens until `stop`. Whenever listening begins anew, what was missed is read.
    pub async fn listen(self, redis: Redis, stop: CancellationToken) {
        let mut subscription = redis.subscribe(&[CHANNEL]);
        while let Some(heard) = stop.run_until_cancelled(subscription.next()).await {
            match heard {
                Heard::Joined(_) => match self.read_all(redis.clone()).await {
                    Ok(()) => self.is_complete.store(true, Ordering::Release),
                    Err(error) => {
                        tracing::warn!(error = error.to_string(), "sessions that ended before cannot be read");
                    }
                },
                Heard::Message(message) => self.announced(message.get_payload_bytes()),
            }
        }
    }

    async fn read_all(&self, mut redis: Redis) -> RedisResult<()> {
        let mut cursor = 0_u64;
        loop {
            let mut step = redis::cmd("SCAN");
            step.arg(cursor).arg("MATCH").arg(format!("{PREFIX}*")).arg("COUNT").arg(STEP);
            let (next, keys): (u64, Vec<String>) = step.query_async(&mut redis).await?;
            for session in keys.iter().filter_map(|key| key.strip_prefix(PREFIX)?.parse().ok()) {
                self.ended.insert(session, ());
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    fn announced(&self, payload: &[u8]) {
        match serde_json::from_slice::<Announcement>(payload) {
            Ok(Announcement { sid }) => self.ended.insert(sid, ()),
            Err(error) => tracing::warn!(error = error.to_string(), "cannot read the announcement of a session's end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_all_was_read_nobody_is_held_to_be_still_logged_in() {
        let revocations = Revocations::default();
        let (ended, other) = (SessionId::generate(), SessionId::generate());
        revocations.announced(format!(r#"{{"sid":"{ended}","userId":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}}"#).as_bytes());
        revocations.announced(b"nonsense");
        assert_eq!((revocations.has_ended(ended), revocations.has_ended(other)), (Some(true), None));
        revocations.is_complete.store(true, Ordering::Release);
        assert_eq!((revocations.has_ended(ended), revocations.has_ended(other)), (Some(true), Some(false)));
    }
}
