//! What the platform answers, for programs (`/api/openapi.json`) and for people (`/api/docs`, Swagger UI).
//!
//! The documents of the services are those of the same release, as they are checked in; a test of each service sees to it that they are those of
//! its routes.

mod merging;

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use utoipa_swagger_ui::Config;

pub use merging::{MergeError, merged};

use crate::error::GatewayError;

/// The documents of the services, in the order in which they are shown.
pub const SERVICES: [&str; 4] = [
    include_str!("../../../docs/reference/openapi/auth.json"),
    include_str!("../../../docs/reference/openapi/chat.json"),
    include_str!("../../../docs/reference/openapi/media.json"),
    include_str!("../../../docs/reference/openapi/notification.json"),
];

const DOCUMENT: &str = "/api/openapi.json";
const PAGE: &str = "/api/docs";

/// What Swagger UI needs and nothing else: its own scripts, the styles and images that it writes itself, and answers of this platform.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A new release may answer otherwise; until then the files need not be asked for again by every look.
const CACHE: &str = "public, max-age=300";

/// The document, ready to be answered. Clones share it.
#[derive(Debug, Clone)]
pub struct Documentation {
    document: Bytes,
}

impl Documentation {
    /// Puts the documents of the services together.
    pub fn new() -> Result<Self, MergeError> {
        let document = merged(&SERVICES)?;
        Ok(Self { document: document.to_string().into() })
    }

    /// The answer to a request for `path`.
    pub(crate) fn answer(&self, path: &str) -> Result<Response, GatewayError> {
        if path == DOCUMENT {
            return Ok(found("application/json", self.document.clone().into()));
        }
        match path.strip_prefix(PAGE) {
            // Names of files in the page are relative to a folder.
            Some("") => {
                let folder = HeaderValue::from_static("/api/docs/");
                Ok((StatusCode::PERMANENT_REDIRECT, HeaderMap::from_iter([(header::LOCATION, folder)])).into_response())
            }
            Some(name) => file(name.trim_start_matches('/')),
            None => Err(GatewayError::NoRoute),
        }
    }
}

/// A file of the page.
fn file(name: &str) -> Result<Response, GatewayError> {
    let page = Arc::new(Config::from(DOCUMENT));
    let file = utoipa_swagger_ui::serve(name, page).map_err(|error| GatewayError::Page(error.to_string()))?;
    let file = file.ok_or(GatewayError::NoRoute)?;
    let mut response = found(&file.content_type, file.bytes.into_owned().into());
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

fn found(content_type: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_str(content_type);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    response
}
