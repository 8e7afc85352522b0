//! Who makes accounts, and how long they stay logged in, as the platform's document says.

use std::process::Command;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::service::{Auth, LoggedIn, PASSWORD, fields};

const HOUR: Duration = Duration::from_hours(1);

async fn with(settings: &[(&'static str, &'static str)]) -> Auth {
    let mut auth = Auth::start().await;
    auth.besides = settings.to_vec();
    auth.restart().await;
    auth
}

async fn closed() -> (Auth, LoggedIn) {
    let mut auth = Auth::start().await;
    let boss = auth.register("boss").await;
    auth.make_admin("boss").await;
    auth.besides = vec![("REGISTRATION__OPEN", "false")];
    auth.restart().await;
    (auth, boss)
}

fn body(name: &str, domain: &str) -> Value {
    json!({"email": format!("{name}@{domain}"), "username": name, "password": PASSWORD})
}

fn token_of(link: &Value) -> String {
    let link = link.as_str().unwrap();
    link.strip_prefix("https://chat.example.org/reset-password#token=").unwrap().to_owned()
}

#[tokio::test]
async fn where_registration_is_closed_nobody_registers_and_whom_an_admin_invites_chooses_a_password() {
    let (auth, boss) = closed().await;
    let refused = auth.post("/api/v1/auth/register", &body("eve", "example.org")).await;
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, refused), "registration-closed");
    auth.login("boss").await;

    let invitation = json!({"email": "ada@example.org", "username": "ada", "displayName": "Ada Lovelace"});
    let (status, invited) = auth.post_by(&boss, "/api/v1/admin/users", &invitation).await;
    assert_eq!(status, StatusCode::CREATED, "{invited}");
    assert_eq!((&invited["username"], &invited["displayName"]), (&json!("ada"), &json!("Ada Lovelace")));
    let token = token_of(&invited["passwordLink"]);
    let login = auth.post("/api/v1/auth/login", &json!({"username": "ada", "password": PASSWORD})).await;
    assert_eq!(Auth::refused(StatusCode::UNAUTHORIZED, login), "invalid-credentials");

    auth.clock.advance(6 * 24 * HOUR);
    let choice = json!({"token": token, "password": PASSWORD});
    assert_eq!(auth.post("/api/v1/auth/reset-password", &choice).await.0, StatusCode::NO_CONTENT);
    assert_eq!(auth.login("ada").await.user["id"], invited["id"]);
    let again = auth.post("/api/v1/auth/reset-password", &choice).await;
    assert_eq!(Auth::refused(StatusCode::BAD_REQUEST, again), "invalid-token");

    let boss = auth.login("boss").await;
    let (_, log) = auth.get("/api/v1/admin/audit", &boss.access_token).await;
    assert_eq!((&log["items"][0]["action"], &log["items"][0]["userId"]), (&json!("user-invited"), &invited["id"]));
    assert!(!auth.documents().await.contains(&token), "the database has the token itself");
}

#[tokio::test]
async fn an_invitation_is_over_after_a_week() {
    let (auth, boss) = closed().await;
    let invitation = json!({"email": "ada@example.org", "username": "ada"});
    let (_, invited) = auth.post_by(&boss, "/api/v1/admin/users", &invitation).await;
    auth.clock.advance(7 * 24 * HOUR);
    let choice = json!({"token": token_of(&invited["passwordLink"]), "password": PASSWORD});
    let refused = auth.post("/api/v1/auth/reset-password", &choice).await;
    assert_eq!(Auth::refused(StatusCode::BAD_REQUEST, refused), "invalid-token");
}

#[tokio::test]
async fn an_invitation_is_an_admins_alone_and_tells_what_is_wrong_with_it() {
    let (auth, boss) = closed().await;
    let (_, invited) =
        auth.post_by(&boss, "/api/v1/admin/users", &json!({"email": "ada@example.org", "username": "ada"})).await;
    let choice = json!({"token": token_of(&invited["passwordLink"]), "password": PASSWORD});
    auth.post("/api/v1/auth/reset-password", &choice).await;
    let ada = auth.login("ada").await;
    let bob = json!({"email": "bob@example.org", "username": "bob"});
    let refused = auth.post_by(&ada, "/api/v1/admin/users", &bob).await;
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, refused), "forbidden");

    let taken =
        auth.post_by(&boss, "/api/v1/admin/users", &json!({"email": "ada@example.org", "username": "bob"})).await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, taken), "email-taken");
    let (status, problem) = auth.post_by(&boss, "/api/v1/admin/users", &json!({"email": "nobody"})).await;
    assert_eq!((status, fields(&problem)), (StatusCode::BAD_REQUEST, vec!["email".to_owned(), "username".to_owned()]));
}

#[tokio::test]
async fn where_nobody_can_register_a_command_makes_the_first_account() {
    let auth = with(&[("REGISTRATION__OPEN", "false")]).await;
    let environment = auth.environment();
    let invite = |arguments: [&'static str; 3]| {
        let environment = environment.clone();
        let run = move || Command::new(env!("CARGO_BIN_EXE_auth")).args(arguments).envs(environment).output().unwrap();
        tokio::task::spawn_blocking(run)
    };
    let output = invite(["invite", "ada@example.org", "ada"]).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let token = said.trim().rsplit_once("#token=").unwrap().1;
    let choice = json!({"token": token, "password": PASSWORD});
    assert_eq!(auth.post("/api/v1/auth/reset-password", &choice).await.0, StatusCode::NO_CONTENT);
    auth.login("ada").await;

    let wrong = invite(["invite", "ada", "ada"]).await.unwrap();
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("is not an e-mail address"), "{wrong:?}");
}

#[tokio::test]
async fn who_registers_has_an_address_of_one_of_the_domains_and_whom_an_admin_invites_need_not() {
    let auth = with(&[("REGISTRATION__EMAIL_DOMAINS", "example.org,acme.test")]).await;
    let boss = auth.register("boss").await;
    auth.make_admin("boss").await;
    assert_eq!(auth.post("/api/v1/auth/register", &body("bob", "Acme.Test")).await.0, StatusCode::CREATED);
    for other in ["example.com", "sub.example.org", "example.org.evil.example"] {
        let (status, problem) = auth.post("/api/v1/auth/register", &body("eve", other)).await;
        assert_eq!((status, fields(&problem)), (StatusCode::BAD_REQUEST, vec!["email".to_owned()]), "{other}");
    }
    let guest = json!({"email": "guest@example.com", "username": "guest"});
    assert_eq!(auth.post_by(&boss, "/api/v1/admin/users", &guest).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn sessions_last_as_long_as_the_settings_say_unused_and_at_most() {
    let auth = with(&[("SESSIONS__IDLE_HOURS", "2"), ("SESSIONS__LONGEST_HOURS", "3")]).await;
    let unused = auth.register("ada").await;
    let mut used = auth.login("ada").await;
    for _ in 0..2 {
        auth.clock.advance(HOUR);
        used = auth.refresh(&used.refresh_token).await.unwrap();
    }
    assert_eq!(auth.refresh(&unused.refresh_token).await.unwrap_err(), "invalid-refresh-token");
    auth.clock.advance(HOUR);
    assert_eq!(auth.refresh(&used.refresh_token).await.unwrap_err(), "invalid-refresh-token");
}
