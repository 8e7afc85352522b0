//! Accepting connections and letting go of them in order.
//!
//! A client that finds its idle connection closed cannot tell whether the request that it has just sent was carried out (RFC 9112,
//! section 9.3.1), so it is the client that has to let go. From the moment that a stop begins every answer of HTTP/1 says `Connection: close`
//! (section 9.6), and a connection of HTTP/2 is ended by GOAWAY, which names the last request that counts (RFC 9113, section 6.8). New
//! connections are still taken, as not everybody knows yet. What is idle is closed by its client, which keeps it for a shorter time than this
//! phase lasts, and by us only after that.
//!
//! axum's own graceful shutdown does not wait for upgraded connections; here every connection holds a token of work in
//! hand for as long as its socket lives, upgraded or not.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    response::Response,
};
use http::{HeaderValue, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower::{Service, ServiceExt, service_fn};

use crate::shutdown::Shutdown;

/// Longer than the idle time of any client that keeps connections to us, so that the client lets go first and no request
/// meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(75);
/// All headers of a request together; more is answered with 431.
const HEADERS: usize = 64 * 1024;
/// Out of file descriptors, accepting fails at once and for ever: wait a little.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until the soft phase, then closes idle connections, lets requests end, and drops everything at the hard phase.
pub(super) async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    let connections = TaskTracker::new();
    while let Some(accepted) = shutdown.soft().run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(connection(stream, peer, router.clone(), shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!(error = error.to_string(), "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    connections.close();
    let _ = shutdown.hard().run_until_cancelled(connections.wait()).await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, shutdown: Shutdown) {
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(InHand { stream, _token: shutdown.in_hand() });
    let is_http2 = CancellationToken::new();
    let service = TowerToHyperService::new(answering(router, peer, shutdown.draining().clone(), is_http2.clone()));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEADERS);
    let served = async {
        let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
        tokio::select! {
            outcome = connection.as_mut() => return outcome,
            () = shutdown.soft().cancelled() => {}
            () = both(&is_http2, shutdown.draining()) => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    match shutdown.hard().run_until_cancelled(served).await {
        Some(Ok(())) => {}
        // Clients that vanish are everyday life.
        Some(Err(error)) => tracing::debug!(error = error.to_string(), %peer, "a connection ended badly"),
        None => tracing::debug!(%peer, "a connection was cut off at the end of the stop"),
    }
}

async fn both(one: &CancellationToken, other: &CancellationToken) {
    one.cancelled().await;
    other.cancelled().await;
}

/// The router, told who asks; its answers tell clients of HTTP/1 to close their connection once the service is about to stop.
fn answering(
    router: Router,
    peer: SocketAddr,
    draining: CancellationToken,
    is_http2: CancellationToken,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone {
    service_fn(move |request: Request<Incoming>| {
        let (router, draining) = (router.clone(), draining.clone());
        let version = request.version();
        if version == Version::HTTP_2 {
            is_http2.cancel();
        }
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        async move {
            let mut response = router.oneshot(request).await?;
            let stays_open = version == Version::HTTP_2 || response.status() == StatusCode::SWITCHING_PROTOCOLS;
            if draining.is_cancelled() && !stays_open {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
}

/// A socket that counts as work in hand until it is dropped, by whomever it was upgraded to.
struct InHand {
    stream: TcpStream,
    _token: TaskTrackerToken,
}

impl AsyncRead for InHand {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for InHand {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
