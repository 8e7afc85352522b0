//! The program itself, as a container runs it.

use std::{process::Command, time::Duration};

use reqwest::StatusCode;
use servers::{Program, RabbitMq, access_tokens::write_jwks};

use crate::service::{environment, install_crypto, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_program_becomes_ready_and_leaves_cleanly_on_sigterm() {
    install_crypto();
    let folder = tempfile::tempdir().unwrap();
    write_jwks(folder.path()).unwrap();
    let variables = environment(folder.path(), RabbitMq::shared(), None, &[]);
    let mut program =
        Program::start("notification", folder.path(), env!("CARGO_BIN_EXE_notification"), variables).unwrap();
    let http = reqwest::Client::new();
    let get = |path: &str| http.get(format!("{}{path}", program.admin_url())).send();
    until("the program is ready", async || get("/readyz").await.is_ok_and(|answer| answer.status() == StatusCode::OK))
        .await;
    let metrics = get("/metrics").await.unwrap().text().await.unwrap();
    assert!(metrics.contains("notifications_stored_total 0"), "{metrics}");

    program.terminate().unwrap();

    let left = program.wait(Duration::from_secs(30)).unwrap();
    assert!(left.success(), "{left}");
}

#[test]
fn settings_at_fault_are_listed_all_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_notification"))
        .env_clear()
        .envs([("CHATPLATFORM_EMAIL__HOST", "mail"), ("CHATPLATFORM_EMAIL__TLS", "sometimes")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    for key in ["mongodb.uri_file", "rabbitmq.uri_file", "tokens.issuer", "email.tls", "email.from", "web.url"] {
        assert!(told.contains(key), "{key} is missing in\n{told}");
    }
}
