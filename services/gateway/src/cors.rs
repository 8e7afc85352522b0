//! Cross-origin calls ([Fetch](https://fetch.spec.whatwg.org/#http-cors-protocol)): which pages of other origins may call.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::settings;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, range, traceparent";
const EXPOSED: &str = "content-range, location, ratelimit, ratelimit-policy, retry-after";
/// Browsers keep a preflight's answer for two hours at most.
const MAX_AGE_SECONDS: &str = "7200";

/// The origins that may call besides our own.
#[derive(Debug, Clone)]
pub struct Cors {
    origins: Vec<HeaderValue>,
    any: bool,
}

impl Cors {
    /// From the settings.
    #[must_use]
    pub fn new(settings: &settings::Cors) -> Self {
        Self {
            origins: settings.allowed_origins.iter().filter_map(|origin| origin.parse().ok()).collect(),
            any: settings.allowed_origins.iter().any(|origin| origin == "*"),
        }
    }

    /// The answer to a preflight, if the request is one.
    #[must_use]
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if *method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        if self.allows(headers) {
            for (name, value) in [
                (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
                (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
            ] {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
        }
        Some(response)
    }

    /// Says on an answer whether the page that asked may read it. Tokens travel in a header, never in cookies, so that no
    /// credentials need be allowed.
    pub fn decorate(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if self.origins.is_empty() && !self.any {
            return;
        }
        response.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = request.get(header::ORIGIN).filter(|_| self.allows(request)) {
            let origin = if self.any { HeaderValue::from_static("*") } else { origin.clone() };
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    fn allows(&self, request: &HeaderMap) -> bool {
        request.get(header::ORIGIN).is_some_and(|origin| self.any || self.origins.contains(origin))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn asked_by(cors: &[&str], origin: &'static str) -> HeaderMap {
        let cors = Cors::new(&settings::Cors { allowed_origins: cors.iter().map(|o| (*o).to_owned()).collect() });
        let mut request = HeaderMap::new();
        request.insert(header::ORIGIN, HeaderValue::from_static(origin));
        request.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        let mut response = cors.preflight(&Method::OPTIONS, &request).unwrap();
        cors.decorate(&request, response.headers_mut());
        response.headers().clone()
    }

    #[test]
    fn an_allowed_origin_may_read_and_another_may_not() {
        let allowed = asked_by(&["https://app.example"], "https://app.example");
        assert_eq!(allowed[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert_eq!(allowed[header::ACCESS_CONTROL_ALLOW_METHODS], METHODS);
        let other = asked_by(&["https://app.example"], "https://evil.example");
        assert!(!other.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!other.contains_key(header::ACCESS_CONTROL_ALLOW_METHODS));
    }

    #[test]
    fn without_settings_no_other_origin_may_read() {
        assert!(!asked_by(&[], "https://app.example").contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(asked_by(&["*"], "https://app.example")[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }

    #[test]
    fn a_plain_options_request_is_no_preflight() {
        let cors = Cors::new(&settings::Cors { allowed_origins: vec![] });
        assert!(cors.preflight(&Method::OPTIONS, &HeaderMap::new()).is_none());
    }
}
