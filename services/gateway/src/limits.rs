//! Sizes that are refused before anything is done about a request.

use axum::body::Body;
use http::{HeaderMap, Uri, header};
use http_body_util::Limited;

use crate::{error::GatewayError, settings::Limits};

/// What two bytes `: ` and two bytes of line end add to each header.
const HEADER_OVERHEAD: usize = 4;

/// Refuses a target or headers that are too long, and a body that says so of itself.
pub fn check(uri: &Uri, headers: &HeaderMap, limits: &Limits, body: u64) -> Result<(), GatewayError> {
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.target_bytes {
        return Err(GatewayError::Target(limits.target_bytes));
    }
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER_OVERHEAD).sum();
    if size > limits.header_bytes {
        return Err(GatewayError::Headers(limits.header_bytes));
    }
    match headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).map(str::parse::<u64>) {
        Some(Ok(length)) if length > body => Err(GatewayError::Body(body)),
        _ => Ok(()),
    }
}

/// The body, cut off where it becomes too large: for those that do not say their size.
pub fn limited(body: Body, limit: u64) -> Body {
    Body::new(Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;

    use super::*;

    const LIMITS: Limits = Limits {
        body_bytes: 100,
        upload_bytes: 1000,
        header_bytes: 200,
        target_bytes: 50,
        deadline_seconds: 1,
        upload_deadline_seconds: 1,
        socket_deadline_seconds: 1,
        stall_seconds: 1,
    };

    fn check_with(target: &str, name: &'static str, value: &str) -> Result<(), GatewayError> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        check(&target.parse().unwrap(), &headers, &LIMITS, LIMITS.body_bytes)
    }

    #[test]
    fn what_is_as_large_as_allowed_passes_and_one_byte_more_does_not() {
        let target = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert!(check_with(&target(50), "x", "y").is_ok());
        assert!(matches!(check_with(&target(51), "x", "y"), Err(GatewayError::Target(50))));
        assert!(check_with("/", "x", &"y".repeat(195)).is_ok());
        assert!(matches!(check_with("/", "x", &"y".repeat(196)), Err(GatewayError::Headers(200))));
        assert!(check_with("/", "content-length", "100").is_ok());
        assert!(matches!(check_with("/", "content-length", "101"), Err(GatewayError::Body(100))));
    }
}
