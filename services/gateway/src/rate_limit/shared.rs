//! Counts in Redis, shared by all replicas.

use redis::{RedisResult, Script, aio::ConnectionManager};

use super::gcra::{self, Decision};
use crate::settings::Policy;

/// `gcra::decide`, atomically and by the server's clock. `KEYS[1]`; `ARGV`: cost and window in microseconds.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local spent = whole + cost
if spent > now + window then
  return {0, 0, math.ceil((spent - window - now) / 1000), math.ceil((whole - now) / 1000)}
end
redis.call('SET', KEYS[1], string.format('%.0f', spent), 'PX', math.ceil((spent - now) / 1000))
return {1, math.floor((now + window - spent) / cost), 0, math.ceil((spent - now) / 1000)}
";

/// The script and the connection it runs on.
#[derive(Clone)]
pub(crate) struct SharedCounts {
    redis: ConnectionManager,
    script: Script,
}

impl SharedCounts {
    pub(crate) fn new(redis: ConnectionManager) -> Self {
        Self { redis, script: Script::new(SCRIPT) }
    }

    pub(crate) async fn decide(&self, key: &str, policy: Policy) -> RedisResult<Decision> {
        let (allowed, remaining, retry_ms, reset_ms) = self
            .script
            .key(key)
            .arg(gcra::cost_us(policy))
            .arg(gcra::window_us(policy))
            .invoke_async::<(bool, u32, u64, u64)>(&mut self.redis.clone())
            .await?;
        Ok(Decision { allowed, remaining, retry_ms, reset_ms })
    }
}
