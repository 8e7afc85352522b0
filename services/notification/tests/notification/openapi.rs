//! The description of the routes, as it is checked in.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::service::Service;

/// `UPDATE_OPENAPI=1 cargo test -p notification --test notification openapi` writes it anew.
#[test]
fn the_description_that_is_checked_in_is_that_of_the_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi/notification.json");
    let now = notification::http::openapi();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }
    let checked_in: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
    assert!(checked_in == now, "{} is out of date: UPDATE_OPENAPI=1 writes it anew", path.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_served_and_refuses_strangers_as_described() {
    let service = Service::start().await;
    let answer = service.http.get(format!("{}/openapi.json", service.url)).send().await.unwrap();
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document, notification::http::openapi());
    let mut count = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let url = format!("{}{}", service.url, path.replace("{id}", "01JDAYB7N8000000000000000A"));
            let status = service.http.request(method.clone(), url).send().await.unwrap().status();
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            count += 1;
        }
    }
    assert_eq!(count, 8);
    service.stop().await;
}
