//! A body that can be had back as long as nobody has begun to read it: a connection that is refused costs a request nothing.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Keeps a body until somebody reads it.
#[derive(Debug)]
pub struct Lender(Slot);

#[derive(Debug, Clone)]
struct Slot(Arc<Mutex<Option<Body>>>);

/// The body on loan.
struct OnLoan {
    slot: Slot,
    begun: Option<Body>,
}

impl Lender {
    /// Of this body.
    #[must_use]
    pub fn new(body: Body) -> Self {
        Self(Slot(Arc::new(Mutex::new(Some(body)))))
    }

    /// The body, unless somebody has begun to read it.
    #[must_use]
    pub fn lend(&self) -> Option<Body> {
        let is_whole = self.0.lock().is_some();
        is_whole.then(|| Body::new(OnLoan { slot: self.0.clone(), begun: None }))
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
        match &mut self.begun {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
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
        let lender = Lender::new(Body::from("letter"));
        let first = lender.lend().unwrap();
        assert_eq!((first.size_hint().exact(), first.is_end_stream()), (Some(6), false));
        drop(first);
        let second = lender.lend().unwrap();
        assert_eq!(second.collect().await.unwrap().to_bytes(), "letter");
    }

    #[tokio::test]
    async fn one_that_was_begun_is_not() {
        let lender = Lender::new(Body::from("letter"));
        let mut body = lender.lend().unwrap();
        assert!(body.frame().await.is_some());
        drop(body);
        assert!(lender.lend().is_none());
    }
}
