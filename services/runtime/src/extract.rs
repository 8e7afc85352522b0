//! Extractors whose refusals are problems that name the faulty field.

use axum::{
    extract::{FromRequest, FromRequestParts, Request, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use contract::problem::Problem;
use http::{StatusCode, header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};

use crate::problem::ApiError;

/// A JSON body, in and out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(&request) {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported-media-type", "The body must be JSON")
                .detail("Send it with content-type: application/json.")
                .into());
        }
        let body = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
        parse(&body).map(Self).map_err(ApiError::from)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Parameters of the path.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            // A path that holds no id leads nowhere, like one that holds the id of nothing.
            Err(rejection) => Err(Problem::not_found(rejection.body_text()).into()),
        }
    }
}

/// Parameters of the query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::validation_failed().error("query", rejection.body_text()).into()),
        }
    }
}

fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

pub(crate) fn unreadable(rejection: &BytesRejection) -> ApiError {
    match rejection.status() {
        status @ StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, "payload-too-large", "The body is too large").into()
        }
        _ => Problem::malformed_request("The body could not be read to its end.").into(),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            Problem::validation_failed().error(path, without_position(&inner))
        } else {
            Problem::malformed_request(format!("The body is not JSON: {inner}."))
        }
    })?;
    deserializer.end().map_err(|error| Problem::malformed_request(format!("The body is not JSON: {error}.")))?;
    Ok(value)
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::{Router, body::Body, routing::post};
    use serde::Deserialize;
    use tower::ServiceExt;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Order {
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Item {
        #[serde(rename = "pieceCount")]
        _piece_count: u32,
    }

    async fn send(kind: &str, body: &'static str) -> (StatusCode, serde_json::Value) {
        let app = Router::new().route("/", post(async |Json(order): Json<Order>| Json(order.items.len())));
        let request = Request::post("/").header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_faulty_field_is_named_where_it_stands() {
        let (status, body) = send("application/json", r#"{"items": [{"pieceCount": 1}, {"pieceCount": "two"}]}"#).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["code"], "validation-failed");
        assert_eq!(body["errors"][0]["field"], "items[1].pieceCount");
        assert_eq!(body["errors"][0]["message"], r#"invalid type: string "two", expected u32"#);
    }

    #[tokio::test]
    async fn what_is_not_json_is_told_from_what_is_wrong_json() {
        assert_eq!(send("application/json", "{").await.1["code"], "malformed-request");
        assert_eq!(send("application/json", r#"{"items": []} {}"#).await.1["code"], "malformed-request");
        assert_eq!(send("text/plain", r#"{"items": []}"#).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(send("application/json; charset=utf-8", r#"{"items": []}"#).await, (StatusCode::OK, 0.into()));
    }

    #[tokio::test]
    async fn an_id_that_is_none_leads_nowhere() {
        let app = Router::new().route("/{id}", post(async |Path(id): Path<contract::id::UserId>| id.to_string()));
        let request = Request::post("/17").body(Body::empty()).unwrap();
        assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::NOT_FOUND);
    }
}
