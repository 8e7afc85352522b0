//! The description of the routes, as it is checked in.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::service::Auth;

/// `UPDATE_OPENAPI=1 cargo test -p auth --test http openapi` writes it anew.
#[test]
fn the_description_that_is_checked_in_is_that_of_the_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi/auth.json");
    let now = auth::http::openapi();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }
    let checked_in: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
    assert!(checked_in == now, "{} is out of date: UPDATE_OPENAPI=1 writes it anew", path.display());
}

/// Each method that is described is served, and who is not logged in gets as far as the description says.
#[tokio::test]
async fn every_operation_is_served_and_refuses_strangers_as_described() {
    let auth = Auth::start().await;
    let (_, document) = auth.get("/openapi.json", "").await;
    assert_eq!(document, auth::http::openapi());
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{operation}");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path =
                path.replace("{id}", "01JDAYB7N8000000000000000A").replace("{session}", "01JDAYB7N8000000000000000B");
            let request = auth.client.request(method.clone(), auth.url(&path)).json(&Value::Null);
            let status = request.send().await.unwrap().status();
            let is_open = operation["security"] == serde_json::json!([]);
            assert!(status != StatusCode::METHOD_NOT_ALLOWED && !status.is_server_error(), "{method} {path}: {status}");
            // A log-out is open to who has a refresh token, and to nobody without.
            let refused = status == StatusCode::UNAUTHORIZED;
            assert_eq!(refused, !is_open || path.ends_with("/auth/logout"), "{method} {path}: {status}");
        }
    }
    assert!(ids.len() > 30, "{ids:?}");
}
