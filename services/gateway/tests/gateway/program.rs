//! The program itself, as a container runs it.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

use http::StatusCode;
use tempfile::TempDir;
use tokio::time::{Duration, timeout};

use crate::world::{SOON, answer, environment, install_crypto, redis_database, start_echo, token};

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_becomes_ready_passes_on_and_leaves_cleanly_on_sigterm() {
    install_crypto();
    let folder = TempDir::new().unwrap();
    let [listen, admin] = [free_address(), free_address()];
    let service = start_echo().await;
    let mut variables = environment(folder.path(), &redis_database().await, service, service);
    variables.push(("CHATPLATFORM_SERVER__LISTEN".into(), listen.clone()));
    variables.push(("CHATPLATFORM_SERVER__ADMIN_LISTEN".into(), admin.clone()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_gateway")).envs(variables).stdout(Stdio::null()).spawn().unwrap();

    let client = reqwest::Client::new();
    let ready = async || {
        let answer = client.get(format!("http://{admin}/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    };
    timeout(SOON, async {
        while !ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let request = client.get(format!("http://{listen}/api/v1/users/me")).bearer_auth(token().text);
    let (status, _, seen) = answer(request).await;
    assert_eq!((status, seen["target"].as_str()), (StatusCode::OK, Some("/api/v1/users/me")));

    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let left = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert!(left.success(), "{left}");
}
