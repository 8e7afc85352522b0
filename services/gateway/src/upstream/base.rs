//! Where a service is said to be: the base URL in the settings.

use std::str::FromStr;

use http::{
    HeaderValue, Uri,
    uri::{Authority, Scheme},
};

const HTTP_PORT: u16 = 80;

/// The base URL of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    authority: Authority,
    header: HeaderValue,
}

/// The text is not a base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL like http://acme-chat:8080, without a path")]
pub struct InvalidBase;

impl Base {
    /// A name or an address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(HTTP_PORT)
    }

    /// What `Host` says of requests there.
    #[must_use]
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }
}

impl FromStr for Base {
    type Err = InvalidBase;

    fn from_str(text: &str) -> Result<Self, InvalidBase> {
        let uri: Uri = text.parse().map_err(|_| InvalidBase)?;
        let parts = uri.into_parts();
        let bare = parts.path_and_query.is_none_or(|path| path == "/");
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) if scheme == Scheme::HTTP && bare => {
                let header = HeaderValue::from_str(authority.as_str()).map_err(|_| InvalidBase)?;
                Ok(Self { authority, header })
            }
            _ => Err(InvalidBase),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_base_has_a_host_and_no_path() {
        for (text, host, port) in [
            ("http://acme-chat:8080", "acme-chat", 8080),
            ("http://acme-chat", "acme-chat", 80),
            ("http://127.0.0.1:1/", "127.0.0.1", 1),
            ("http://[::1]:8080", "::1", 8080),
        ] {
            let base: Base = text.parse().unwrap();
            assert_eq!((base.host(), base.port()), (host, port), "{text}");
        }
        for text in ["", "acme-chat:8080", "https://acme-chat", "http://acme-chat/api", "http://", "/api"] {
            assert_eq!(text.parse::<Base>(), Err(InvalidBase), "{text}");
        }
    }
}
