//! What `/metrics` tells of the services behind.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use runtime::metrics::Metrics;

use super::breaker::Level;
use crate::routes::Upstream;

const OPEN: i64 = 2;

/// Of all services. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct UpstreamMetrics {
    endpoints: Family<Of, Gauge>,
    set_aside: Family<Of, Gauge>,
    breaker: Family<Of, Gauge>,
    openings: Family<Of, Counter>,
    attempts: Family<Again, Counter>,
}

/// Of one service.
#[derive(Debug)]
pub struct PoolMetrics {
    upstream: &'static str,
    endpoints: Gauge,
    set_aside: Gauge,
    breaker: Gauge,
    openings: Counter,
    attempts: Family<Again, Counter>,
}

/// Why a request is tried once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nobody took the connection.
    NotConnected,
    /// The answer never came.
    BrokenOff,
    /// It would have been, but others had been before, and too many.
    OverBudget,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    upstream: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Again {
    upstream: &'static str,
    reason: &'static str,
}

impl UpstreamMetrics {
    /// In this registry.
    #[must_use]
    pub fn registered(metrics: &Metrics) -> Self {
        let all = Self::default();
        metrics.register("gateway_upstream_endpoints", "Addresses that a service has", all.endpoints.clone());
        metrics.register(
            "gateway_upstream_endpoints_set_aside",
            "Addresses that take no connections and are probed",
            all.set_aside.clone(),
        );
        metrics.register(
            "gateway_upstream_breaker",
            "Circuit breaker of a service: 0 closed, 1 half-open, 2 open",
            all.breaker.clone(),
        );
        metrics.register(
            "gateway_upstream_breaker_openings",
            "How often the circuit breaker of a service opened",
            all.openings.clone(),
        );
        metrics.register(
            "gateway_upstream_retries",
            "Requests that were tried once more; over-budget: that were not",
            all.attempts.clone(),
        );
        all
    }

    /// Those of one service.
    #[must_use]
    pub fn of(&self, upstream: Upstream) -> PoolMetrics {
        let of = Of { upstream: upstream.name() };
        PoolMetrics {
            upstream: of.upstream,
            endpoints: self.endpoints.get_or_create(&of).clone(),
            set_aside: self.set_aside.get_or_create(&of).clone(),
            breaker: self.breaker.get_or_create(&of).clone(),
            openings: self.openings.get_or_create(&of).clone(),
            attempts: self.attempts.clone(),
        }
    }
}

impl PoolMetrics {
    /// It has this many addresses.
    pub fn endpoints(&self, count: usize) {
        self.endpoints.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// One more address is set aside, or one less.
    pub fn set_aside(&self, change: i64) {
        self.set_aside.inc_by(change);
    }

    /// Its breaker has changed, or not.
    pub fn breaker(&self, level: Level) {
        let number = match level {
            Level::Closed => 0,
            Level::HalfOpen => 1,
            Level::Open => OPEN,
        };
        if self.breaker.set(number) != OPEN && number == OPEN {
            self.openings.inc();
        }
    }

    /// A request is tried once more.
    pub fn again(&self, reason: Reason) {
        let reason = match reason {
            Reason::NotConnected => "not-connected",
            Reason::BrokenOff => "broken-off",
            Reason::OverBudget => "over-budget",
        };
        self.attempts.get_or_create(&Again { upstream: self.upstream, reason }).inc();
    }
}
