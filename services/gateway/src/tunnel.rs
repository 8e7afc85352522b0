//! `WebSockets`: once both sides have agreed to upgrade, bytes go to and fro until one side is done.

use std::{io, time::Duration};

use axum::{body::Body, response::Response};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use runtime::shutdown::Shutdown;

use crate::{
    error::GatewayError,
    headers,
    upstream::{Answer, Lease},
};

/// Part of the drain time over which tunnels are closed, so that clients do not all come back in one moment.
const SPREAD: f64 = 0.6;
/// The longest such time: the drain may be long for the sake of files under way, and the gateway is to end once these are done.
const LONGEST_SPREAD: Duration = Duration::from_secs(12);

/// Keeps tunnels, and lets go of them when the service stops.
#[derive(Debug, Clone)]
pub struct Tunnels {
    shutdown: Shutdown,
    drain: Duration,
    open: Gauge,
}

/// The client's half of an upgrade to come.
pub struct ClientSide {
    upgrade: OnUpgrade,
}

impl Tunnels {
    /// Tunnels that are closed, one by one, within `drain` of the stop.
    #[must_use]
    pub fn new(shutdown: Shutdown, drain: Duration, open: Gauge) -> Self {
        Self { shutdown, drain, open }
    }

    /// Joins both sides, if the service agreed to upgrade, and makes the answer for the client.
    #[must_use]
    pub fn join(&self, client: ClientSide, answer: Answer) -> Response<Incoming> {
        let Answer { mut response, lease } = answer;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let service = hyper::upgrade::on(&mut response);
            let tunnel = self.clone();
            // Waited for by the stop, and cut off at its end.
            self.shutdown.spawn(async move { tunnel.carry(client.upgrade, service, lease).await });
        }
        response
    }

    /// The lease counts the socket among what the endpoint has in hand.
    async fn carry(&self, client: OnUpgrade, service: OnUpgrade, _lease: Lease) {
        let (client, service) = match tokio::try_join!(client, service) {
            Ok(sides) => sides,
            Err(error) => {
                tracing::debug!(error = runtime::telemetry::chain(&error), "an upgrade came to nothing");
                return;
            }
        };
        self.open.inc();
        let (mut client, mut service) = (TokioIo::new(client), TokioIo::new(service));
        let outcome = tokio::select! {
            outcome = tokio::io::copy_bidirectional(&mut client, &mut service) => outcome.map(drop),
            () = self.stopping() => Ok(()),
        };
        self.open.dec();
        // Sockets that break off are everyday life.
        if let Err(error) = outcome.map_err(|error: io::Error| error.to_string()) {
            tracing::debug!(error, "a tunnel broke off");
        }
    }

    /// Ends at some moment within the stop. Socket.IO clients then connect again, to another pod, and resume.
    async fn stopping(&self) {
        self.shutdown.soft().cancelled().await;
        let spread = self.drain.mul_f64(SPREAD).min(LONGEST_SPREAD);
        tokio::time::sleep(spread.mul_f64(rand::random_range(0.0..1.0))).await;
    }
}

/// Takes the client's half out of a request and writes into it what the service needs to see to upgrade.
pub fn prepare(request: &mut Request<Body>) -> Result<ClientSide, GatewayError> {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(GatewayError::NoUpgrade)?;
    headers::strip_hop_by_hop(request.headers_mut());
    ask_for_upgrade(request.headers_mut());
    Ok(ClientSide { upgrade })
}

/// The same on the way back.
pub fn ask_for_upgrade(headers: &mut http::HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}
