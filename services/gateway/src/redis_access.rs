//! What the gateway asks Redis per request, in one round trip: may this client go on, and has its session ended.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use contract::id::SessionId;
use redis::{RedisResult, Value};
use runtime::connect::Redis;

use crate::{
    error::RedisAway,
    rate_limit::{Allowance, Rate, SCRIPT},
};

/// A command takes well under a millisecond; who waits longer than this is better served by the fallback.
const ANSWER_WITHIN: Duration = Duration::from_millis(750);
/// How long Redis is left alone after it failed, so that not every request waits for the failure of its own.
const LEAVE_ALONE: Duration = Duration::from_secs(1);

/// A shared connection that knows when it is no use asking.
#[derive(Clone)]
pub struct RedisAccess(Arc<Inner>);

struct Inner {
    connection: Redis,
    script: redis::Script,
    began: Instant,
    /// Milliseconds after `began` until which Redis is left alone.
    left_alone_until: AtomicU64,
}

impl RedisAccess {
    /// On this connection.
    #[must_use]
    pub fn new(connection: Redis) -> Self {
        let script = redis::Script::new(SCRIPT);
        Self(Arc::new(Inner { connection, script, began: Instant::now(), left_alone_until: AtomicU64::new(0) }))
    }

    /// Takes one request out of `key`'s allowance and, if a session is given, tells whether it was revoked.
    pub async fn ask(&self, key: &str, rate: Rate, session: Option<SessionId>) -> Result<(Allowance, bool), RedisAway> {
        self.guarded(self.0.ask(key, rate, session)).await
    }

    /// Whether Redis answers, for health.
    pub async fn ping(&self) -> Result<(), String> {
        runtime::connect::ping_redis(&self.0.connection).await
    }

    async fn guarded<T>(&self, work: impl Future<Output = RedisResult<T>>) -> Result<T, RedisAway> {
        let now = self.0.began.elapsed();
        if u64::try_from(now.as_millis()).unwrap_or(u64::MAX) < self.0.left_alone_until.load(Ordering::Relaxed) {
            return Err(RedisAway::LeftAlone);
        }
        let away = match tokio::time::timeout(ANSWER_WITHIN, work).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => RedisAway::Failed(error),
            Err(_) => RedisAway::Timeout,
        };
        let until = self.0.began.elapsed() + LEAVE_ALONE;
        self.0.left_alone_until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        tracing::warn!(
            error = runtime::telemetry::chain(&away),
            "Redis is away: limits are counted here, sessions cannot be checked"
        );
        Err(away)
    }
}

impl Inner {
    async fn ask(&self, key: &str, rate: Rate, session: Option<SessionId>) -> RedisResult<(Allowance, bool)> {
        match self.ask_once(key, rate, session).await {
            // A fresh or flushed server does not know the script yet.
            Err(error) if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript) => {
                self.script.prepare_invoke().load_async(&mut self.connection.clone()).await?;
                self.ask_once(key, rate, session).await
            }
            answer => answer,
        }
    }

    async fn ask_once(&self, key: &str, rate: Rate, session: Option<SessionId>) -> RedisResult<(Allowance, bool)> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("EVALSHA").arg(self.script.get_hash()).arg(1).arg(key).arg(rate.interval_micros()).arg(rate.burst);
        if let Some(session) = session {
            pipeline.cmd("EXISTS").arg(format!("auth:revoked:{session}"));
        }
        let answers: Vec<Value> = pipeline.query_async(&mut self.connection.clone()).await?;
        let mut answers = answers.into_iter();
        let (allowed, remaining, wait, reset): (bool, u32, u64, u64) =
            redis::from_redis_value(answers.next().unwrap_or(Value::Nil))?;
        let revoked = answers.next().map_or(Ok(false), redis::from_redis_value)?;
        let allowance = Allowance {
            allowed,
            remaining,
            retry_after: Duration::from_micros(wait),
            reset: Duration::from_micros(reset),
        };
        Ok((allowance, revoked))
    }
}

impl fmt::Debug for RedisAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAccess").finish_non_exhaustive()
    }
}
