//! Accepting connections and letting go of them in order.
//!
//! axum's own graceful shutdown does not wait for upgraded connections; here every connection holds a token of work in
//! hand for as long as its socket lives, upgraded or not.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown, graceful::Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::{ServiceExt, util::MapRequest};

use crate::shutdown::Shutdown;

/// Longer than the idle time of any client that keeps connections to us (the gateway's is 30 s, the edge's 60 s), so that
/// the client lets go first and no request meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(75);
/// All headers of a request together; more is answered with 431.
const HEADERS: usize = 64 * 1024;
/// Out of file descriptors, accepting fails at once and for ever: wait a little.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until the soft phase, then closes idle connections, lets requests end, and drops everything at the hard phase.
pub(super) async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    let graceful = GracefulShutdown::new();
    while let Some(accepted) = shutdown.soft().run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(connection(stream, peer, router.clone(), graceful.watcher(), shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!(error = error.to_string(), "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    let _ = shutdown.hard().run_until_cancelled(graceful.shutdown()).await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, watcher: Watcher, shutdown: Shutdown) {
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(InHand { stream, _token: shutdown.in_hand() });
    let service = TowerToHyperService::new(with_peer(router, peer));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEADERS);
    let connection = builder.serve_connection_with_upgrades(io, service).into_owned();
    match shutdown.hard().run_until_cancelled(watcher.watch(connection)).await {
        Some(Ok(())) => {}
        // Clients that vanish are everyday life.
        Some(Err(error)) => tracing::debug!(error = error.to_string(), %peer, "a connection ended badly"),
        None => tracing::debug!(%peer, "a connection was cut off at the end of the stop"),
    }
}

fn with_peer(router: Router, peer: SocketAddr) -> MapRequest<Router, impl FnMut(Request<Incoming>) -> Request + Clone> {
    router.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request
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
