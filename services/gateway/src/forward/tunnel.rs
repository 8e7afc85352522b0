//! WebSocket tunnels: once both sides have switched protocols, bytes go back and forth until one side ends.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rand::RngExt;
use runtime::shutdown::Shutdown;
use tokio::io::copy_bidirectional;

/// At a stop, tunnels are closed one after the other within this time: their clients reconnect elsewhere, not all at once.
const SPREAD: Duration = Duration::from_secs(5);

/// The protocol that a request asks to switch to, if it is one that is tunnelled.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(header::UPGRADE)?;
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket").then(|| protocol.clone())
}

/// Connects two sides as soon as both have switched.
pub(super) fn open(client: OnUpgrade, service: OnUpgrade, shutdown: &Shutdown) {
    let stop = shutdown.clone();
    shutdown.spawn(async move {
        let (mut client, mut service) = match tokio::try_join!(client, service) {
            Ok((client, service)) => (TokioIo::new(client), TokioIo::new(service)),
            Err(error) => {
                tracing::debug!(error = error.to_string(), "a side did not switch protocols");
                return;
            }
        };
        let closing = async {
            stop.soft().cancelled().await;
            let share = rand::rng().random_range(0.0..1.0);
            tokio::time::sleep(SPREAD.mul_f64(share)).await;
        };
        tokio::select! {
            ended = copy_bidirectional(&mut client, &mut service) => {
                if let Err(error) = ended {
                    tracing::debug!(error = error.to_string(), "a tunnel broke");
                }
            }
            () = closing => tracing::debug!("a tunnel was closed at the stop"),
        }
    });
}
