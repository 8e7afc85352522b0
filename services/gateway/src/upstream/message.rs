//! A request as it can be sent once, or again.

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::body::{ClientsTurn, Lender};

/// Bodies of requests that may be repeated are kept for that up to this size, in bytes.
const KEPT: u64 = 64 * 1024;

/// A request to a service, whichever address of it.
#[derive(Debug)]
pub struct Message {
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Here as a whole, however often it is sent.
    Kept(Bytes),
    /// Passed through.
    Passing(Lender),
}

impl Message {
    /// What `request` says, to the server that `host` names. Waits for the body of a request that may be repeated, if it is
    /// small.
    pub async fn new(request: Request<Body>, host: &HeaderValue, turn: ClientsTurn) -> Result<Self, axum::Error> {
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(header::HOST, host.clone());
        parts.headers.remove(header::EXPECT);
        let is_small = body.size_hint().upper().is_some_and(|most| most <= KEPT);
        let content = if body.is_end_stream() {
            Content::Kept(Bytes::new())
        } else if parts.method.is_idempotent() && is_small {
            turn.set(true);
            let bytes = body.collect().await?.to_bytes();
            turn.set(false);
            Content::Kept(bytes)
        } else {
            Content::Passing(Lender::new(body, turn))
        };
        let target = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        Ok(Self { method: parts.method, target, headers: parts.headers, content })
    }

    /// The request to one address; none once its body has been read.
    pub fn to(&self, authority: &Authority) -> Result<Option<Request<Body>>, http::Error> {
        let body = match &self.content {
            Content::Kept(bytes) if bytes.is_empty() => Body::empty(),
            Content::Kept(bytes) => Body::from(bytes.clone()),
            Content::Passing(lender) => match lender.lend() {
                Some(body) => body,
                None => return Ok(None),
            },
        };
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(authority.clone())
            .path_and_query(self.target.clone())
            .build()?;
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers.clone();
        Ok(Some(request))
    }

    /// Whether it does no harm to send it again when it may have arrived (RFC 9110, section 9.2.2). A handshake of a WebSocket
    /// is never sent again: it is a GET by name alone.
    #[must_use]
    pub fn may_be_repeated(&self) -> bool {
        self.method.is_idempotent() && !self.headers.contains_key(header::UPGRADE)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn there() -> Authority {
        Authority::from_static("10.0.0.1:8080")
    }

    async fn message(method: Method, body: Body) -> Message {
        let request = Request::builder()
            .method(method)
            .uri("/a/b?c")
            .header("x", "y")
            .header("expect", "100-continue")
            .body(body)
            .unwrap();
        Message::new(request, &HeaderValue::from_static("acme-chat:8080"), ClientsTurn::default()).await.unwrap()
    }

    async fn sent(message: &Message) -> Option<(String, Bytes)> {
        let request = message.to(&there()).unwrap()?;
        assert_eq!(request.headers()["x"], "y");
        assert_eq!(request.headers()["host"], "acme-chat:8080");
        assert!(!request.headers().contains_key("expect"));
        let (parts, body) = request.into_parts();
        Some((format!("{} {}", parts.method, parts.uri), body.collect().await.unwrap().to_bytes()))
    }

    #[tokio::test]
    async fn what_may_be_repeated_is_kept_as_a_whole() {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let message = message(method.clone(), Body::from("body")).await;
            let expected = Some((format!("{method} http://10.0.0.1:8080/a/b?c"), Bytes::from("body")));
            assert!(message.may_be_repeated());
            assert_eq!([sent(&message).await, sent(&message).await], [expected.clone(), expected]);
        }
    }

    #[tokio::test]
    async fn what_may_not_be_repeated_passes_through_once_it_is_read_and_a_large_body_as_well() {
        for (method, body) in [(Method::POST, "body".to_owned()), (Method::PUT, "x".repeat(65537))] {
            let message = message(method, Body::from(body.clone())).await;
            // Whom the connection was refused to has read nothing.
            drop(message.to(&there()).unwrap().unwrap());
            assert_eq!(sent(&message).await.unwrap().1, body);
            assert!(sent(&message).await.is_none());
        }
        assert!(!message(Method::POST, Body::empty()).await.may_be_repeated());
    }
}
