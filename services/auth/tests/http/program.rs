//! The program itself, as a container runs it.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use reqwest::StatusCode;

use crate::service::Auth;

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_becomes_ready_and_leaves_cleanly_on_sigterm() {
    let auth = Auth::start().await;
    let [listen, admin] = [free_address(), free_address()];
    let mut child = Command::new(env!("CARGO_BIN_EXE_auth"))
        .envs(auth.environment(&listen, &admin))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    auth.until("the program is ready", async || {
        let answer = auth.client.get(format!("http://{admin}/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;

    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let left = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(left.success(), "{left}");
}
