//! The program itself, as a container runs it.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use servers::{Balancer, Load, Program, Request};

use crate::service::Auth;

#[tokio::test(flavor = "multi_thread")]
async fn the_program_becomes_ready_and_leaves_cleanly_on_sigterm() {
    let auth = Auth::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start("auth", folder.path(), env!("CARGO_BIN_EXE_auth"), auth.environment()).unwrap();
    auth.until("the program is ready", async || {
        let answer = auth.client.get(format!("{}/readyz", program.admin_url())).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;

    program.terminate().unwrap();
    let left = program.wait(Duration::from_secs(30)).unwrap();
    assert!(left.success(), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_one_program_takes_the_place_of_another() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &'static str| {
        // Enough for some hundred requests of a slow machine.
        let settle = ("CHATPLATFORM_SERVER__SETTLE_SECONDS".to_owned(), "15".to_owned());
        let variables = auth.environment().into_iter().chain([settle]);
        Program::start(name, folder.path(), env!("CARGO_BIN_EXE_auth"), variables).unwrap()
    };
    let (old, new) = (start("old"), start("new"));
    auth.until("both are ready", async || old.is_ready() && new.is_ready()).await;

    let balancer = Balancer::start().unwrap();
    balancer.lead_to(&[&old]).unwrap();
    // A PATCH is not repeated by anybody on the way: it may have been carried out.
    let load = Load::start(&balancer, move |number| Request {
        method: if number.is_multiple_of(2) { "GET" } else { "PATCH" },
        path: "/api/v1/users/me".to_owned(),
        headers: vec![("authorization", format!("Bearer {}", ada.access_token))],
        body: (!number.is_multiple_of(2)).then(|| json!({"displayName": format!("number {number}")})),
    });
    load.replace(&balancer, old, &new).unwrap();
    load.end().unwrap();
}
