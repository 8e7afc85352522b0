//! An answer on its way back: its endpoint has it in hand until its end, and it may not stall for ever.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{BoxError, body::Body};
use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::endpoint::Lease;

/// An answer whose head is there. The endpoint has it in hand until the lease is dropped.
#[derive(Debug)]
pub struct Answer {
    /// The answer.
    pub response: Response<Incoming>,
    /// Whose it is.
    pub lease: Lease,
}

/// Nothing came for too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing more of the answer came within {} s", .0.as_secs())]
pub struct Stalled(Duration);

struct Carried {
    body: Incoming,
    _lease: Lease,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Answer {
    /// The answer with a body that holds the lease, and ends with an error when nothing comes for as long as `patience`.
    #[must_use]
    pub fn carried(self, patience: Duration) -> Response<Body> {
        let Self { response, lease } = self;
        response.map(|body| Body::new(Carried { body, _lease: lease, patience, waiting: None }))
    }
}

impl HttpBody for Carried {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Some(Err(Stalled(patience).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
