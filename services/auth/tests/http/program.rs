//! The program itself, as a container runs it.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use mongodb::bson::{Document, doc};
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

/// Runs the program with an argument, told of a database and of nothing else.
fn migrate(argument: &str, uri: &str, database: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mongodb-uri");
    fs::write(&file, uri).unwrap();
    Command::new(env!("CARGO_BIN_EXE_auth"))
        .arg(argument)
        .env_clear()
        .env("CHATPLATFORM_MONGODB__URI_FILE", &file)
        .env("CHATPLATFORM_MONGODB__DATABASE", database)
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_migrate_it_needs_the_database_alone_brings_it_to_its_form_and_ends() {
    let uri = servers::MongoDb::shared().uri();
    let name = format!("auth-{}", ulid::Ulid::generate());
    let database = mongodb::Client::with_uri_str(&uri).await.unwrap().database(&name);
    for taken in ["\"taken\":\"indexes\"", "\"taken\":\"\""] {
        let output = migrate("migrate", &uri, &name);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(taken), "{said}");
    }
    let users = database.collection::<Document>("users").list_index_names().await.unwrap();
    assert!(users.contains(&"emailKey_1".to_owned()), "{users:?}");
    assert!(database.collection::<Document>("migrations").find_one(doc! {"_id": "indexes"}).await.unwrap().is_some());
    database.drop().await.unwrap();
}

#[test]
fn a_database_that_is_not_there_and_a_command_that_is_none_are_failures_with_words() {
    let output = migrate("migrate", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200", "auth");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MongoDB: "), "{output:?}");
    let output = migrate("mirgate", "mongodb://127.0.0.1:1/", "auth");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("write `migrate`"), "{output:?}");
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
