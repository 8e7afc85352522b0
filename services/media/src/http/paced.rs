//! A body that is read no faster than it is used.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, BodyDataStream, Bytes};
use futures::Stream;

/// Hands out one chunk per poll and then says "not yet" once. The parser of forms takes chunks until it hears that, and keeps all
/// of them: behind a fast client that would be the whole body.
#[derive(Debug)]
pub(crate) struct Paced {
    inner: BodyDataStream,
    rests: bool,
}

impl Paced {
    /// `body`, paced.
    pub(crate) fn body(body: Body) -> Body {
        Body::from_stream(Self { inner: body.into_data_stream(), rests: false })
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.rests {
            self.rests = false;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.inner).poll_next(context);
        self.rests = matches!(polled, Poll::Ready(Some(Ok(_))));
        polled
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, executor::block_on, stream, task::noop_waker};

    use super::*;

    fn paced(chunks: usize) -> Pin<Box<Paced>> {
        let body = Body::from_stream(stream::iter((0..chunks).map(|_| Ok::<_, axum::Error>(Bytes::from_static(b"x")))));
        Box::pin(Paced { inner: body.into_data_stream(), rests: false })
    }

    #[test]
    fn a_greedy_reader_gets_one_chunk_at_a_time() {
        let (mut body, waker) = (paced(3), noop_waker());
        let mut context = Context::from_waker(&waker);
        let ready: Vec<bool> = (0..6).map(|_| body.as_mut().poll_next(&mut context).is_ready()).collect();
        assert_eq!(ready, [true, false, true, false, true, false]);
    }

    #[test]
    fn nothing_is_lost() {
        assert_eq!(block_on(paced(100).count()), 100);
    }
}
