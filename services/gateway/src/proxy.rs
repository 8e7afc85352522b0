//! Passing a request on and its answer back, both as streams: the pools of all services.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::body::Body;
use http::Request;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    error::GatewayError,
    routes::Upstream,
    settings::Settings,
    upstream::{
        Answer, Base, Pool, Trip,
        discovery::Names,
        lookout::{Lookout, Whereabouts},
        metrics::UpstreamMetrics,
        pool::CONNECT_WITHIN,
    },
};

/// Shorter than a service goes on taking requests once it was told to stop (6 s, `server.settle_seconds`), so that none is sent on
/// a connection that is just being closed.
const KEEP_IDLE: Duration = Duration::from_secs(4);
/// Of each address.
const KEEP_IDLE_PER_HOST: usize = 256;

/// The services behind. Clones share their pools.
#[derive(Debug, Clone)]
pub struct Proxy {
    pools: Arc<[Arc<Pool>; 4]>,
}

impl Proxy {
    /// Pools for the services of these settings. Must be called within a tokio runtime.
    pub fn new(settings: &Settings, metrics: &UpstreamMetrics) -> anyhow::Result<Self> {
        let names = Names::new(&settings.discovery.servers()).context("names cannot be asked for")?;
        let client = client();
        let start = |upstream: Upstream| -> anyhow::Result<Arc<Pool>> {
            let endpoints = Some(settings.endpoints.of(upstream)).filter(|url| !url.is_empty());
            let whereabouts = Whereabouts {
                base: settings.upstreams.of(upstream).parse()?,
                endpoints: endpoints.map(str::parse::<Base>).transpose()?,
                refresh: Duration::from_millis(settings.discovery.refresh_milliseconds),
            };
            let lookout = Lookout::new(whereabouts, names.clone());
            let (client, metrics) = (client.clone(), metrics.of(upstream));
            Ok(Pool::start(upstream, lookout, client, settings.retries, settings.breaker, metrics))
        };
        // In the order of `Upstream`.
        let pools =
            [start(Upstream::Auth)?, start(Upstream::Chat)?, start(Upstream::Media)?, start(Upstream::Notification)?];
        Ok(Self { pools: Arc::new(pools) })
    }

    /// Sends a request to `upstream` and returns its answer once the head is there.
    pub async fn forward(
        &self,
        upstream: Upstream,
        request: Request<Body>,
        trip: Trip,
    ) -> Result<Answer, GatewayError> {
        let pool = match upstream {
            Upstream::Auth => &self.pools[0],
            Upstream::Chat => &self.pools[1],
            Upstream::Media => &self.pools[2],
            Upstream::Notification => &self.pools[3],
        };
        pool.send(request, trip).await
    }
}

/// Keeps connections to each address that a request went to.
fn client() -> Client<HttpConnector, Body> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEEP_IDLE)
        .pool_max_idle_per_host(KEEP_IDLE_PER_HOST)
        .build(connector)
}
