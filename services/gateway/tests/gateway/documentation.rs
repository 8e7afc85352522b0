//! The description of everything, as programs and people get it.

use std::path::Path;

use http::{StatusCode, header};
use serde_json::Value;

use crate::world::World;

#[tokio::test]
async fn everybody_reads_what_all_services_answer_in_one_document() {
    let world = World::open().await;
    let answer = world.get("/api/openapi.json").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for path in ["/api/v1/auth/login", "/api/v1/conversations/{id}/messages", "/api/v1/media", "/api/v1/notifications"]
    {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_but_what_is_here_and_shows_that_document() {
    let world = World::open().await;
    let page = world.get("/api/docs").send().await.unwrap();
    assert_eq!(page.url().path(), "/api/docs/");
    assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html");
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self'") && policy.starts_with("default-src 'none'"), "{policy}");
    let html = page.text().await.unwrap();
    let files: Vec<&str> = html
        .split('"')
        .filter(|text| {
            Path::new(text).extension().is_some_and(|kind| ["js", "css", "png"].iter().any(|known| kind == *known))
        })
        .collect();
    assert!(files.len() > 3, "{html}");
    for file in files {
        assert!(!file.contains("//"), "{file} comes from elsewhere");
        let answer = world.get(&format!("/api/docs/{}", file.trim_start_matches("./"))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{file}");
    }
    let setup = world.get("/api/docs/swagger-initializer.js").send().await.unwrap().text().await.unwrap();
    assert!(setup.contains("/api/openapi.json"), "{setup}");
    let missing = world.get("/api/docs/nothing.js").send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}
