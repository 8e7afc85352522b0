//! The gateway put together.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use contract::keys::REDIS;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use runtime::{
    clock::Clock, connect, health::Health, identity::TokenVerifier, metrics::Metrics, program::Assembly,
    service::Service, telemetry::chain,
};

use crate::{
    client_address::Network,
    cors::Cors,
    documentation::Documentation,
    error::GatewayError,
    pipeline,
    proxy::Proxy,
    rate_limit::LocalLimiter,
    redis_access::RedisAccess,
    revocations::Revocations,
    routes::Route,
    settings::{Limits, RateLimits, Settings},
    tunnel::Tunnels,
    upstream::metrics::UpstreamMetrics,
};

/// What the steps of the pipeline need. Clones share it.
#[derive(Debug, Clone)]
pub struct Gateway {
    pub(crate) verifier: TokenVerifier,
    pub(crate) redis: RedisAccess,
    pub(crate) revocations: Revocations,
    pub(crate) local_limiter: LocalLimiter,
    pub(crate) proxy: Proxy,
    pub(crate) tunnels: Tunnels,
    pub(crate) cors: Cors,
    pub(crate) documentation: Documentation,
    pub(crate) limits: Limits,
    pub(crate) rate_limits: RateLimits,
    pub(crate) trusted_proxies: Arc<[Network]>,
    refusals: Family<Refusal, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    route: &'static str,
    reason: &'static str,
}

/// The gateway as a service, ready to run.
#[must_use]
pub fn service(settings: &Settings, clock: Clock) -> Assembly<'_> {
    // Connections are made in the background, for which a runtime has to be there: it is once this is awaited.
    Box::pin(async move { assemble(settings, clock) })
}

fn assemble(settings: &Settings, clock: Clock) -> anyhow::Result<Service> {
    let service = Service::new("gateway", &settings.server);
    let metrics = Metrics::new();
    let connection = connect::redis(&settings.redis)?;
    let gateway = Gateway::new(settings, clock, &service, &metrics, connection.clone())?;
    let credentials = connection.clone();
    let listening = gateway.revocations.clone().listen(connection, service.shutdown().soft().clone());
    let redis = gateway.redis.clone();
    // Without Redis the gateway still answers what needs no log-in, and says of the rest what is the matter; taken out of
    // service it could not even do that.
    let health = Health::new().inform("redis", move || {
        let redis = redis.clone();
        async move { redis.ping().await }
    });
    let keys = gateway.verifier.key_rings().with(REDIS, move || credentials.credentials_in_use());
    let router = Router::new().fallback(pipeline::answer).with_state(gateway);
    Ok(service.router(router).health(health).metrics(metrics).keys(keys).task("revocations", listening))
}

impl Gateway {
    fn new(
        settings: &Settings,
        clock: Clock,
        service: &Service,
        metrics: &Metrics,
        connection: connect::Redis,
    ) -> anyhow::Result<Self> {
        let tunnels_open = Gauge::default();
        metrics.register("gateway_tunnels_open", "WebSockets that are carried", tunnels_open.clone());
        let refusals = Family::default();
        metrics.register("gateway_refusals", "Requests that the gateway itself refused", refusals.clone());
        let networks = settings.trusted_proxies.networks.iter().map(|text| text.parse());
        Ok(Self {
            verifier: TokenVerifier::new(&settings.tokens, clock).context("the public keys cannot be used")?,
            redis: RedisAccess::new(connection),
            revocations: Revocations::default(),
            local_limiter: LocalLimiter::default(),
            proxy: Proxy::new(settings, &UpstreamMetrics::registered(metrics))?,
            tunnels: Tunnels::new(service.shutdown(), Duration::from_secs(settings.server.drain_seconds), tunnels_open),
            cors: Cors::new(&settings.cors),
            documentation: Documentation::new()?,
            limits: settings.limits,
            rate_limits: settings.rate_limits,
            trusted_proxies: networks.collect::<Result<_, _>>()?,
            refusals,
        })
    }

    pub(crate) fn count_refusal(&self, route: &Route, error: &GatewayError) {
        let reason = match error {
            GatewayError::Unreachable(..) => "unreachable",
            GatewayError::Resting(..) => "resting",
            GatewayError::BadGateway(..) | GatewayError::BrokenAnswer(..) => "bad-gateway",
            GatewayError::Timeout(_) => "timeout",
            GatewayError::ClientTooSlow => "client-too-slow",
            GatewayError::RateLimited(_) => "rate-limited",
            GatewayError::Token(_) => "token",
            GatewayError::Revoked => "revoked",
            GatewayError::RevocationUnknown(_) => "redis-away",
            GatewayError::Forbidden => "forbidden",
            _ => "malformed",
        };
        tracing::debug!(route = route.prefix, reason, error = chain(error), "refused");
        self.refusals.get_or_create(&Refusal { route: route.prefix, reason }).inc();
    }
}
