//! Headers on their way: what belongs to one connection stays with it (RFC 9110, section 7.6.1), what says where the
//! request came from is added.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Makes the headers of a client's request those of ours to a service. `upgrade` is the protocol to ask for, if any.
pub(super) fn to_service(headers: &mut HeaderMap, client: Option<IpAddr>, upgrade: Option<HeaderValue>) {
    let host = headers.remove(header::HOST);
    remove_hop_by_hop(headers);
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade);
    }
    if let Some(host) = host {
        headers.insert("x-forwarded-host", host);
    }
    // One address, ours to vouch for: what came before it may be invented.
    if let Some(client) = client.and_then(|client| HeaderValue::from_str(&client.to_string()).ok()) {
        headers.insert("x-forwarded-for", client);
    }
    // Browsers never need cookies here, and a service must not come to depend on them.
    headers.remove(header::COOKIE);
}

/// Makes the headers of a service's answer those of ours to the client.
pub(super) fn to_client(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    headers.remove(header::SERVER);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn headers_of_the_connection_stay_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, x-secret"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("host", "chat.acme.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("accept", "*/*"),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        to_service(&mut headers, Some([203, 0, 113, 9].into()), None);
        assert_eq!(names(&headers), ["accept", "x-forwarded-for", "x-forwarded-host"]);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9");
        assert_eq!(headers["x-forwarded-host"], "chat.acme.example");
    }

    #[test]
    fn an_upgrade_that_is_carried_is_asked_for_anew() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, "keep-alive, Upgrade".parse().unwrap());
        headers.insert(header::UPGRADE, "websocket".parse().unwrap());
        to_service(&mut headers, None, Some(HeaderValue::from_static("websocket")));
        assert_eq!((&headers[header::CONNECTION], &headers[header::UPGRADE]), (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap()));
    }
}
