//! How the first admin comes to be: by a command of the program, run beside the service.

use std::process::{Command, Output};

use reqwest::StatusCode;

use crate::service::Auth;

async fn run(auth: &Auth, arguments: &'static [&'static str]) -> Output {
    let environment = auth.environment();
    let run = move || Command::new(env!("CARGO_BIN_EXE_auth")).args(arguments).envs(environment).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn the_command_makes_an_admin_of_an_account_and_the_audit_log_knows() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    assert_eq!(auth.get("/api/v1/admin/users", &ada.access_token).await.0, StatusCode::FORBIDDEN);

    let output = run(&auth, &["grant-admin", "Ada@Example.org"]).await;

    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("ada ("), "{output:?}");
    let (status, log) = auth.get("/api/v1/admin/audit", &ada.access_token).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(log["items"][0]["action"], "roles-changed");
    assert_eq!(log["items"][0]["actor"], serde_json::json!({"name": "grant-admin"}));
    let again = run(&auth, &["grant-admin", "ada"]).await;
    assert!(again.status.success() && String::from_utf8_lossy(&again.stdout).contains("already"), "{again:?}");
}

#[tokio::test]
async fn the_command_tells_what_is_wrong() {
    let auth = Auth::start().await;
    let unknown = run(&auth, &["grant-admin", "nobody"]).await;
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("register it first"), "{unknown:?}");
    let incomplete = run(&auth, &["grant-admin"]).await;
    assert!(!incomplete.status.success());
    assert!(String::from_utf8_lossy(&incomplete.stderr).contains("grant-admin NAME"), "{incomplete:?}");
}
