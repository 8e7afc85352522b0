//! A body that can be had back as long as nobody has begun to read it: a connection that is refused costs a request nothing.
//! While it is read, it tells whom it waits for.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Whether a request waits for its client, who has yet to send more of the body. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct ClientsTurn(Arc<AtomicBool>);

/// Keeps a body until somebody reads it.
#[derive(Debug)]
pub struct Lender {
    slot: Slot,
    turn: ClientsTurn,
}

#[derive(Debug, Clone)]
struct Slot(Arc<Mutex<Option<Body>>>);

/// The body on loan.
struct OnLoan {
    slot: Slot,
    begun: Option<Body>,
    turn: ClientsTurn,
}

impl ClientsTurn {
    /// It does, or does not any more.
    pub fn set(&self, waits: bool) {
        self.0.store(waits, Ordering::Relaxed);
    }

    /// Whether it does.
    #[must_use]
    pub fn is_now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Lender {
    /// Of this body.
    #[must_use]
    pub fn new(body: Body, turn: ClientsTurn) -> Self {
        Self { slot: Slot(Arc::new(Mutex::new(Some(body)))), turn }
    }

    /// The body, unless somebody has begun to read it.
    #[must_use]
    pub fn lend(&self) -> Option<Body> {
        let is_whole = self.slot.lock().is_some();
        is_whole.then(|| Body::new(OnLoan { slot: self.slot.clone(), begun: None, turn: self.turn.clone() }))
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Body>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for OnLoan {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.begun.is_none() {
            let taken = self.slot.lock().take();
            self.begun = taken;
        }
        let polled = match &mut self.begun {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        };
        self.turn.set(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.begun {
            Some(body) => body.is_end_stream(),
            None => self.slot.lock().as_ref().is_none_or(HttpBody::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.begun {
            Some(body) => body.size_hint(),
            None => self.slot.lock().as_ref().map_or_else(SizeHint::default, HttpBody::size_hint),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_that_nobody_read_is_lent_again_as_it_was() {
        let lender = Lender::new(Body::from("letter"), ClientsTurn::default());
        let first = lender.lend().unwrap();
        assert_eq!((first.size_hint().exact(), first.is_end_stream()), (Some(6), false));
        drop(first);
        let second = lender.lend().unwrap();
        assert_eq!(second.collect().await.unwrap().to_bytes(), "letter");
    }

    #[tokio::test]
    async fn one_that_was_begun_is_not() {
        let lender = Lender::new(Body::from("letter"), ClientsTurn::default());
        let mut body = lender.lend().unwrap();
        assert!(body.frame().await.is_some());
        drop(body);
        assert!(lender.lend().is_none());
    }

    #[tokio::test]
    async fn it_is_the_clients_turn_while_the_body_is_read_and_nothing_comes() {
        let turn = ClientsTurn::default();
        let (more, rest) = tokio::sync::oneshot::channel::<()>();
        let parts =
            futures::stream::once(async { rest.await.map(|()| Bytes::from("letter")).map_err(std::io::Error::other) });
        let mut body = Lender::new(Body::from_stream(parts), turn.clone()).lend().unwrap();
        assert!(!turn.is_now());
        assert!(futures::poll!(body.frame()).is_pending());
        assert!(turn.is_now());
        more.send(()).unwrap();
        assert!(body.frame().await.is_some());
        assert!(!turn.is_now());
    }
}
