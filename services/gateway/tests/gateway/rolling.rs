//! One gateway takes the place of another while people use it.

use std::time::Duration;

use serde_json::json;
use servers::{Balancer, Load, Program, Request};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::world::{SOON, environment, install_crypto, redis_database, start_echo, token};

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_one_program_takes_the_place_of_another() {
    install_crypto();
    let (folder, service) = (TempDir::new().unwrap(), start_echo().await);
    let mut variables = environment(folder.path(), &redis_database().await, service, service);
    // Enough for some hundred requests of a slow machine.
    variables.push(("CHATPLATFORM_SERVER__SETTLE_SECONDS".to_owned(), "15".to_owned()));
    let start = |name| Program::start(name, folder.path(), env!("CARGO_BIN_EXE_gateway"), variables.clone()).unwrap();
    let (old, new) = (start("old"), start("new"));
    timeout(SOON, async {
        while !old.is_ready() || !new.is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();

    let balancer = Balancer::start().unwrap();
    balancer.lead_to(&[&old]).unwrap();
    // Each by somebody else, so that nobody asks too often.
    let load = Load::start(&balancer, |number| Request {
        method: if number.is_multiple_of(2) { "GET" } else { "POST" },
        path: "/api/v1/conversations".to_owned(),
        headers: vec![("authorization", format!("Bearer {}", token().text))],
        body: (!number.is_multiple_of(2)).then(|| json!({"title": "a group"})),
    });
    load.replace(&balancer, old, &new).unwrap();
    load.end().unwrap();
}
