//! The program itself, as a container runs it.

use std::time::Duration;

use reqwest::StatusCode;
use servers::Program;

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
