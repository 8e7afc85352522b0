//! The program itself, as a container runs it.

use std::time::Duration;

use http::StatusCode;
use servers::Program;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::world::{SOON, answer, environment, install_crypto, redis_database, start_echo, token};

#[tokio::test(flavor = "multi_thread")]
async fn the_program_becomes_ready_passes_on_and_leaves_cleanly_on_sigterm() {
    install_crypto();
    let folder = TempDir::new().unwrap();
    let service = start_echo().await;
    let variables = environment(folder.path(), &redis_database().await, service, service);
    let mut program = Program::start("gateway", folder.path(), env!("CARGO_BIN_EXE_gateway"), variables).unwrap();

    let client = reqwest::Client::new();
    let ready = async || {
        let answer = client.get(format!("{}/readyz", program.admin_url())).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    };
    timeout(SOON, async {
        while !ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let request = client.get(format!("{}/api/v1/users/me", program.url())).bearer_auth(token().text);
    let (status, _, seen) = answer(request).await;
    assert_eq!((status, seen["target"].as_str()), (StatusCode::OK, Some("/api/v1/users/me")));

    program.terminate().unwrap();
    let left = program.wait(SOON).unwrap();
    assert!(left.success(), "{left}");
}
