//! Headers on their way through: what ends at a hop, what a client must not claim, what a client should get.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, CONNECTION},
};

use crate::client_address::FORWARDED_FOR;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers that are for the next hop alone (RFC 9110, section 7.6.1), and those that never should have been sent.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which some proxy, somewhere, tells a service who is calling. Ours believe none of them, and nobody shall
/// ever start to.
const IDENTITY: [&str; 9] = [
    "x-user",
    "x-forwarded-user",
    "x-remote-user",
    "remote-user",
    "x-identity",
    "x-authenticated",
    "x-auth-",
    "x-role",
    "x-session",
];

/// Headers that say where a request comes from; we say it anew.
const ORIGIN: [&str; 7] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-real-ip",
    "x-client-ip",
];

/// Takes out what ends here, whatever `Connection` names included.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Takes out what a client claims about who it is.
pub fn strip_identity(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> =
        headers.keys().filter(|name| IDENTITY.iter().any(|claim| name.as_str().starts_with(claim))).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Says where a request comes from, in place of what it says itself.
pub fn set_origin(headers: &mut HeaderMap, client: IpAddr, host: Option<&HeaderValue>, proto: HeaderValue) {
    for name in ORIGIN {
        headers.remove(name);
    }
    if let Ok(value) = HeaderValue::from_str(&client.to_string()) {
        headers.insert(FORWARDED_FOR, value);
    }
    if let Some(host) = host {
        headers.insert(FORWARDED_HOST, host.clone());
    }
    headers.insert(FORWARDED_PROTO, proto);
}

/// The scheme that the client used, as the proxy before us says; only `https` and `http` are schemes.
#[must_use]
pub fn proto(headers: &HeaderMap) -> HeaderValue {
    match headers.get(FORWARDED_PROTO).map(HeaderValue::as_bytes) {
        Some(b"https") => HeaderValue::from_static("https"),
        _ => HeaderValue::from_static("http"),
    }
}

/// What every answer of the interface should tell a browser, unless the service said otherwise (OWASP REST security).
pub fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.remove(header::SERVER);
    headers.remove("x-powered-by");
}

/// Whether a request asks for a WebSocket.
#[must_use]
pub fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    has(CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn what_connection_names_ends_here_too() {
        let mut headers = headers(&[
            ("connection", "close, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(names(&headers), ["accept"]);
    }

    #[test]
    fn no_claim_of_identity_gets_through_but_the_token_does() {
        let mut headers = headers(&[
            ("x-user-id", "1"),
            ("x-user", "root"),
            ("x-forwarded-user", "root"),
            ("remote-user", "root"),
            ("x-auth-request-email", "root@example"),
            ("x-roles", "admin"),
            ("x-session-id", "1"),
            ("authorization", "Bearer t"),
        ]);
        strip_identity(&mut headers);
        assert_eq!(names(&headers), ["authorization"]);
    }

    #[test]
    fn where_a_request_comes_from_is_said_anew() {
        let mut headers = headers(&[
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "198.51.100.1"),
            ("forwarded", "for=198.51.100.1"),
        ]);
        let proto = proto(&headers);
        set_origin(
            &mut headers,
            "203.0.113.9".parse().unwrap(),
            Some(&HeaderValue::from_static("chat.example")),
            proto,
        );
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9");
        assert_eq!(headers["x-forwarded-host"], "chat.example");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn an_upgrade_is_asked_for_by_both_headers_in_any_case() {
        assert!(asks_for_websocket(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")])));
        assert!(!asks_for_websocket(&headers(&[("upgrade", "websocket")])));
        assert!(!asks_for_websocket(&headers(&[("connection", "upgrade"), ("upgrade", "h2c")])));
    }
}
