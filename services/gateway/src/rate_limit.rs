//! Rate limits by GCRA (the generic cell rate algorithm): a client may send `burst` requests at once, and `per_minute`
//! in the long run. One number per client: when its allowance will be whole again.

use std::{net::IpAddr, time::Duration};

use contract::id::UserId;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;

use crate::routes::Class;

mod local;

pub use local::LocalLimiter;

/// The same rule as [`take`], in Redis, atomically, by Redis' own clock.
pub(crate) const SCRIPT: &str = include_str!("rate_limit/gcra.lua");

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const WINDOW_SECONDS: u64 = 60;

/// How many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// In the long run.
    pub per_minute: u32,
    /// At once.
    pub burst: u32,
}

impl Rate {
    /// The time in which one request grows back, in microseconds.
    #[must_use]
    pub fn interval_micros(self) -> u64 {
        WINDOW_SECONDS * 1_000_000 / u64::from(self.per_minute.max(1))
    }
}

/// What a client may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Whether this request may pass.
    pub allowed: bool,
    /// How many more may follow at once.
    pub remaining: u32,
    /// How long to wait, if it may not pass.
    pub retry_after: Duration,
    /// When the allowance will be whole again.
    pub reset: Duration,
}

/// Takes one request out of an allowance at the moment `now`. `whole_at` is when the allowance would have been whole
/// again; the new such moment is returned unless the request may not pass. All in microseconds.
#[must_use]
pub fn take(rate: Rate, whole_at: u64, now: u64) -> (Allowance, Option<u64>) {
    let interval = rate.interval_micros();
    let most = interval * u64::from(rate.burst.max(1));
    let before = whole_at.max(now) - now;
    let after = before + interval;
    if after > most {
        let retry_after = Duration::from_micros(after - most);
        return (Allowance { allowed: false, remaining: 0, retry_after, reset: Duration::from_micros(before) }, None);
    }
    let remaining = u32::try_from((most - after) / interval.max(1)).unwrap_or(u32::MAX);
    let reset = Duration::from_micros(after);
    (Allowance { allowed: true, remaining, retry_after: Duration::ZERO, reset }, Some(now + after))
}

/// Whose allowance a request is taken from.
#[must_use]
pub fn key(class: Class, user: Option<UserId>, address: IpAddr) -> String {
    match user.filter(|_| class != Class::Auth) {
        Some(user) => format!("gateway:limit:{}:user:{user}", class.name()),
        None => format!("gateway:limit:{}:address:{}", class.name(), subscriber(address)),
    }
}

/// One household of IPv6 has a network of 64 bits to pick addresses from.
fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

/// Says on an answer what the client may still do, after draft-ietf-httpapi-ratelimit-headers-10.
pub fn decorate(headers: &mut HeaderMap, class: Class, rate: Rate, allowance: Allowance) {
    let name = class.name();
    let policy = format!("\"{name}\";q={};w={WINDOW_SECONDS}", rate.per_minute);
    let state = format!("\"{name}\";r={};t={}", allowance.remaining, seconds(allowance.reset));
    for (header, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(header, value);
        }
    }
    if !allowance.allowed {
        headers.insert(header::RETRY_AFTER, seconds(allowance.retry_after).max(1).into());
    }
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { per_minute: 60, burst: 5 };

    #[test]
    fn a_burst_passes_and_then_one_request_a_second() {
        let mut whole_at = 0;
        let mut pass = |now: u64| {
            let (allowance, next) = take(RATE, whole_at, now);
            whole_at = next.unwrap_or(whole_at);
            allowance
        };
        let start = 1_000_000_000;
        assert_eq!((0..5).map(|_| pass(start).remaining).collect::<Vec<_>>(), [4, 3, 2, 1, 0]);
        let refused = pass(start);
        assert!(!refused.allowed);
        assert_eq!(refused.retry_after, Duration::from_secs(1));
        assert_eq!(refused.reset, Duration::from_secs(5));
        assert!(!pass(start + 999_999).allowed);
        assert!(pass(start + 1_000_000).allowed);
        assert!(!pass(start + 1_000_000).allowed);
        assert_eq!(pass(start + 100_000_000).remaining, 4);
    }

    proptest! {
        #[test]
        fn however_requests_come_no_more_pass_than_the_rate_allows(
            per_minute in 1_u32..1000, burst in 1_u32..50, gaps in prop::collection::vec(0_u64..2_000_000, 1..200)
        ) {
            let rate = Rate { per_minute, burst };
            let (mut now, mut whole_at, mut passed) = (1_000_000_u64, 0, 0_u64);
            let start = now;
            for gap in gaps {
                now += gap;
                let (allowance, next) = take(rate, whole_at, now);
                prop_assert_eq!(allowance.allowed, next.is_some());
                if let Some(next) = next {
                    whole_at = next;
                    passed += 1;
                } else {
                    // Who waits as told gets through.
                    let later = now + u64::try_from(allowance.retry_after.as_micros()).unwrap();
                    prop_assert!(take(rate, whole_at, later).0.allowed);
                }
            }
            prop_assert!(passed <= u64::from(burst) + (now - start) / rate.interval_micros());
        }
    }

    #[test]
    fn credentials_count_by_address_whoever_is_logged_in() {
        let (user, address) = (UserId::generate(), "203.0.113.9".parse().unwrap());
        assert_eq!(key(Class::Read, Some(user), address), format!("gateway:limit:read:user:{user}"));
        assert_eq!(key(Class::Auth, Some(user), address), "gateway:limit:auth:address:203.0.113.9");
        assert_eq!(key(Class::Read, None, address), "gateway:limit:read:address:203.0.113.9");
    }

    #[test]
    fn a_household_of_ipv6_is_one_client() {
        let key = |text: &str| key(Class::Read, None, text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2:3::4"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    }

    #[test]
    fn a_client_is_told_what_it_may_still_do() {
        let mut headers = HeaderMap::new();
        let (refused, _) = take(RATE, 1_005_400_000, 1_000_000_000);
        decorate(&mut headers, Class::Write, RATE, refused);
        assert_eq!(headers["ratelimit-policy"], "\"write\";q=60;w=60");
        assert_eq!(headers["ratelimit"], "\"write\";r=0;t=6");
        assert_eq!(headers["retry-after"], "2");
    }
}
