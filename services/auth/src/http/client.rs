//! From where a request comes.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

use crate::sessions::Client;

/// No client calls itself by a longer name than this; what is beyond is cut off.
const LONGEST_USER_AGENT: usize = 256;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client of a request, as the gateway tells it: the service is reached through the gateway alone, which replaces
/// `X-Forwarded-For` by what its trusted proxies say. The last entry is the one that the gateway itself vouches for.
#[derive(Debug)]
pub(super) struct FromClient(pub(super) Client);

impl<S: Sync> FromRequestParts<S> for FromClient {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(Client { address: address(&parts.headers), user_agent: user_agent(&parts.headers) }))
    }
}

fn address(headers: &HeaderMap) -> Option<String> {
    let last = headers.get_all(&FORWARDED_FOR).iter().next_back()?.to_str().ok()?.rsplit(',').next()?;
    let address: std::net::IpAddr = last.trim().parse().ok()?;
    Some(address.to_string())
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(name.chars().take(LONGEST_USER_AGENT).collect())
}
