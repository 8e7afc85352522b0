use futures::FutureExt as _;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::service::{Auth, LoggedIn, PASSWORD, fields};

fn path(user: &LoggedIn, rest: &str) -> String {
    format!("/api/v1/admin/users/{}{rest}", user.user["id"].as_str().unwrap())
}

async fn admin(auth: &Auth, name: &str) -> LoggedIn {
    let admin = auth.register(name).await;
    auth.make_admin(name).await;
    admin
}

async fn moderator(auth: &Auth, by: &LoggedIn, name: &str) -> LoggedIn {
    let moderator = auth.register(name).await;
    let (status, account) = set_roles(auth, by, &moderator, &["user", "moderator"]).await;
    assert_eq!(status, StatusCode::OK, "{account}");
    moderator
}

async fn set_roles(auth: &Auth, by: &LoggedIn, of: &LoggedIn, roles: &[&str]) -> (StatusCode, Value) {
    auth.put_by(by, &path(of, "/roles"), &json!({"roles": roles})).await
}

async fn disable(auth: &Auth, by: &LoggedIn, whom: &LoggedIn) -> (StatusCode, Value) {
    auth.post_by(by, &path(whom, "/disable"), &json!({"reason": "spam"})).await
}

#[tokio::test]
async fn who_is_not_in_charge_sees_and_does_nothing() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    let eve = auth.register("eve").await;
    let body = json!({"roles": ["user", "admin"]});
    for (method, path) in [
        (Method::GET, "/api/v1/admin/users".to_owned()),
        (Method::GET, path(&boss, "")),
        (Method::POST, path(&boss, "/disable")),
        (Method::POST, path(&boss, "/enable")),
        (Method::PUT, path(&eve, "/roles")),
        (Method::DELETE, path(&boss, "/mfa/totp")),
        (Method::GET, path(&boss, "/sessions")),
        (Method::DELETE, path(&boss, "/sessions")),
        (Method::DELETE, path(&boss, &format!("/sessions/{}", boss.session()))),
        (Method::GET, "/api/v1/admin/audit".to_owned()),
    ] {
        let request = || auth.client.request(method.clone(), auth.url(&path)).json(&body);
        let stranger = request().send().await.unwrap();
        assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        let user = request().bearer_auth(&eve.access_token).send().await.unwrap();
        assert_eq!(user.status(), StatusCode::FORBIDDEN, "{method} {path}");
    }
    auth.refresh(&boss.refresh_token).await.unwrap();
}

#[tokio::test]
async fn accounts_are_listed_newest_first_by_page_and_by_filter() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    for name in ["ada", "bob", "cyd", "dan"] {
        auth.clock.advance(std::time::Duration::from_millis(1));
        auth.register(name).await;
    }
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["username"].as_str().unwrap().to_owned()).collect()
    };
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = auth.get(&format!("/api/v1/admin/users?limit=2{cursor}"), &boss.access_token).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        found.extend(names(&page));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, ["dan", "cyd", "bob", "ada", "boss"]);
    let bob = auth.login("bob").await;
    assert_eq!(disable(&auth, &boss, &bob).await.0, StatusCode::OK);
    for (filter, expected) in [
        ("role=admin", vec!["boss"]),
        ("disabled=true", vec!["bob"]),
        ("disabled=false&query=B", vec!["boss"]),
        ("query=cyd@example", vec!["cyd"]),
        ("query=example", vec![]),
    ] {
        let (_, page) = auth.get(&format!("/api/v1/admin/users?{filter}"), &boss.access_token).await;
        assert_eq!(names(&page), expected, "{filter}");
    }
    let (status, problem) = auth.get("/api/v1/admin/users?cursor=bogus", &boss.access_token).await;
    assert_eq!((status, fields(&problem)), (StatusCode::BAD_REQUEST, vec!["cursor".to_owned()]));
}

#[tokio::test]
async fn who_is_disabled_is_out_everywhere_at_once_until_enabled() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    let eve = auth.register("eve").await;
    let (status, account) = disable(&auth, &boss, &eve).await;
    assert_eq!(status, StatusCode::OK);
    assert!(account["disabledAt"].is_string() && account["email"] == "eve@example.org", "{account}");
    assert!(auth.is_revoked_in_redis(&eve.session()).await);
    assert_eq!(auth.get("/api/v1/users/me", &eve.access_token).await.0, StatusCode::UNAUTHORIZED);
    auth.refresh(&eve.refresh_token).await.unwrap_err();
    let login = |password: &str| json!({"username": "eve", "password": password});
    let right = auth.post("/api/v1/auth/login", &login(PASSWORD)).await;
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, right), "account-disabled");
    // Who does not know the password is not told.
    let wrong = auth.post("/api/v1/auth/login", &login("a wrong password")).await;
    assert_eq!(Auth::refused(StatusCode::UNAUTHORIZED, wrong), "invalid-credentials");

    let (status, account) = auth.post_as(&path(&eve, "/enable"), &boss.access_token).await;
    assert_eq!((status, account.get("disabledAt")), (StatusCode::OK, None));
    auth.login("eve").await;
}

#[tokio::test]
async fn moderators_lock_users_and_neither_each_other_nor_admins() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    let mo = moderator(&auth, &boss, "moe").await;
    let other = moderator(&auth, &boss, "other").await;
    let eve = auth.register("eve").await;
    for protected in [&boss, &other, &mo] {
        assert_eq!(Auth::refused(StatusCode::FORBIDDEN, disable(&auth, &mo, protected).await), "forbidden");
        let (status, _) = auth.delete(&path(protected, "/sessions"), &mo.access_token).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    let refused = set_roles(&auth, &mo, &mo, &["user", "admin"]).await;
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, refused), "forbidden");
    assert_eq!(auth.get("/api/v1/admin/audit", &mo.access_token).await.0, StatusCode::FORBIDDEN);
    assert_eq!(disable(&auth, &mo, &eve).await.0, StatusCode::OK);
    assert_eq!(disable(&auth, &boss, &mo).await.0, StatusCode::OK);
}

#[tokio::test]
async fn roles_are_given_and_taken_and_the_next_token_says_so() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    let eve = auth.register("eve").await;
    let (status, account) = set_roles(&auth, &boss, &eve, &["admin", "user", "user"]).await;
    assert_eq!((status, &account["roles"]), (StatusCode::OK, &json!(["user", "admin"])));
    // The old token is enough here: the account is asked.
    assert_eq!(auth.get("/api/v1/admin/users", &eve.access_token).await.0, StatusCode::OK);
    let next = auth.refresh(&eve.refresh_token).await.unwrap();
    assert_eq!(next.user["roles"], json!(["user", "admin"]));
    assert_eq!(set_roles(&auth, &eve, &boss, &["user"]).await.0, StatusCode::OK);
    assert_eq!(auth.get("/api/v1/admin/users", &boss.access_token).await.0, StatusCode::FORBIDDEN);
    let (_, problem) = set_roles(&auth, &next, &boss, &["moderator"]).await;
    assert_eq!(fields(&problem), ["roles"]);
    assert_eq!(set_roles(&auth, &next, &boss, &["emperor"]).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_last_admin_can_be_neither_disabled_nor_demoted_nor_deleted() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    let gone = admin(&auth, "gone").await;
    assert_eq!(disable(&auth, &boss, &gone).await.0, StatusCode::OK);
    assert_eq!(Auth::refused(StatusCode::CONFLICT, disable(&auth, &boss, &boss).await), "last-admin");
    let demoted = set_roles(&auth, &boss, &boss, &["user"]).await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, demoted), "last-admin");
    let deleted = auth.post_by(&boss, "/api/v1/users/me/delete", &json!({"password": PASSWORD})).await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, deleted), "last-admin");
    let eve = auth.register("eve").await;
    assert_eq!(set_roles(&auth, &boss, &eve, &["user", "admin"]).await.0, StatusCode::OK);
    assert_eq!(set_roles(&auth, &boss, &boss, &["user"]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn of_admins_who_demote_each_other_at_the_same_moment_one_is_left() {
    let auth = Auth::start().await;
    let mut admins = Vec::new();
    for name in ["ann", "ben", "cat"] {
        admins.push(admin(&auth, name).await);
    }
    let mut requests = Vec::new();
    for (at, by) in admins.iter().enumerate() {
        requests.push(set_roles(&auth, by, &admins[(at + 1) % 3], &["user"]).boxed_local());
        requests.push(disable(&auth, by, &admins[(at + 2) % 3]).boxed_local());
    }
    let answers = join_all(requests).await;
    assert!(answers.iter().all(|(status, _)| !status.is_server_error()), "{answers:?}");
    let active = mongodb::bson::doc! {"roles": "admin", "disabledAt": {"$exists": false}};
    let left = auth.all::<mongodb::bson::Document>("users", active).await;
    assert!(!left.is_empty(), "{answers:?}");
}

#[tokio::test]
async fn sessions_of_others_are_seen_and_ended() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    let here = auth.register("eve").await;
    let there = auth.login("eve").await;
    let (status, list) = auth.get(&path(&here, "/sessions"), &boss.access_token).await;
    assert_eq!((status, list["items"].as_array().unwrap().len()), (StatusCode::OK, 2));
    let one = path(&here, &format!("/sessions/{}", here.session()));
    assert_eq!(auth.delete(&one, &boss.access_token).await.0, StatusCode::NO_CONTENT);
    assert_eq!(auth.delete(&one, &boss.access_token).await.0, StatusCode::NOT_FOUND);
    let of_another = path(&here, &format!("/sessions/{}", boss.session()));
    assert_eq!(auth.delete(&of_another, &boss.access_token).await.0, StatusCode::NOT_FOUND);
    assert!(auth.is_revoked_in_redis(&here.session()).await);
    auth.refresh(&there.refresh_token).await.unwrap();
    assert_eq!(auth.delete(&path(&here, "/sessions"), &boss.access_token).await.0, StatusCode::NO_CONTENT);
    assert!(auth.is_revoked_in_redis(&there.session()).await);
    auth.login("eve").await;
}

#[tokio::test]
async fn a_lost_second_step_is_taken_away_by_an_admin() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    let eve = auth.register("eve").await;
    let nothing = auth.delete(&path(&eve, "/mfa/totp"), &boss.access_token).await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, nothing), "second-step-not-enabled");
    let users = auth.database.collection::<mongodb::bson::Document>("users");
    auth.post_by(&eve, "/api/v1/auth/mfa/totp", &json!({"password": PASSWORD})).await;
    let pipeline = vec![mongodb::bson::doc! {"$set": {"secondStep": {
        "secret": "$pendingSecondStep.secret", "lastStep": 0_i64, "recovery": [], "since": "$createdAt",
    }}}];
    users.update_one(mongodb::bson::doc! {"username": "eve"}, pipeline).await.unwrap();
    let login = json!({"username": "eve", "password": PASSWORD});
    assert_eq!(auth.post("/api/v1/auth/login", &login).await.0, StatusCode::ACCEPTED);
    assert_eq!(auth.delete(&path(&eve, "/mfa/totp"), &boss.access_token).await.0, StatusCode::NO_CONTENT);
    auth.login("eve").await;
}

#[tokio::test]
async fn every_act_is_in_the_audit_log_with_who_what_whom_when_and_from_where() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    let eve = auth.register("eve").await;
    disable(&auth, &boss, &eve).await;
    auth.clock.advance(std::time::Duration::from_secs(1));
    auth.post_as(&path(&eve, "/enable"), &boss.access_token).await;
    auth.clock.advance(std::time::Duration::from_secs(1));
    // What changes nothing is no act.
    auth.post_as(&path(&eve, "/enable"), &boss.access_token).await;
    set_roles(&auth, &boss, &eve, &["user", "moderator"]).await;
    auth.clock.advance(std::time::Duration::from_secs(1));
    auth.delete(&path(&eve, "/sessions"), &boss.access_token).await;

    let (status, log) = auth.get("/api/v1/admin/audit", &boss.access_token).await;
    assert_eq!(status, StatusCode::OK);
    let items = log["items"].as_array().unwrap();
    let actions: Vec<&str> = items.iter().map(|item| item["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["sessions-ended", "roles-changed", "user-enabled", "user-disabled"]);
    assert_eq!((&items[1]["before"], &items[1]["after"]), (&json!(["user"]), &json!(["user", "moderator"])));
    let disabled = &items[3];
    assert_eq!(disabled["reason"], "spam");
    assert_eq!(disabled["userId"], eve.user["id"]);
    let actor = json!({"id": boss.user["id"], "name": "boss", "address": "192.0.2.7", "userAgent": "tests/1"});
    assert_eq!(disabled["actor"], actor);
    assert!(disabled["at"].is_string());

    let (_, first) = auth.get("/api/v1/admin/audit?limit=3", &boss.access_token).await;
    let next = first["nextCursor"].as_str().unwrap();
    let (_, second) = auth.get(&format!("/api/v1/admin/audit?limit=3&cursor={next}"), &boss.access_token).await;
    assert_eq!(second["items"].as_array().unwrap(), &items[3..]);
    let of_nobody = "/api/v1/admin/audit?userId=01JDAYB7N8000000000000000A";
    assert_eq!(auth.get(of_nobody, &boss.access_token).await.1, json!({"items": []}));
}

#[tokio::test]
async fn an_act_that_is_refused_leaves_no_entry() {
    let auth = Auth::start().await;
    let boss = admin(&auth, "boss").await;
    disable(&auth, &boss, &boss).await;
    let nobody = "/api/v1/admin/users/01JDAYB7N8000000000000000A";
    assert_eq!(auth.get(nobody, &boss.access_token).await.0, StatusCode::NOT_FOUND);
    let missing = auth.post_by(&boss, &format!("{nobody}/disable"), &json!({})).await;
    assert_eq!(Auth::refused(StatusCode::NOT_FOUND, missing), "not-found");
    assert_eq!(auth.get("/api/v1/admin/audit", &boss.access_token).await.1, json!({"items": []}));
}
