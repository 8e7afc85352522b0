use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::service::{Auth, PASSWORD};

async fn attempt(auth: &Auth, password: &str, address: &str) -> (StatusCode, Value) {
    let body = json!({"username": "ada", "password": password});
    let request = auth.client.post(auth.url("/api/v1/auth/login")).header("x-forwarded-for", address);
    let answer = request.json(&body).send().await.unwrap();
    let status = answer.status();
    let wait = answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().to_owned());
    (status, json!({"wait": wait, "body": answer.json::<Value>().await.unwrap()}))
}

#[tokio::test]
async fn guessing_is_slowed_down_for_that_address_alone() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    let mut locked = None;
    for _ in 0..12 {
        let (status, answer) = attempt(&auth, "a wrong password", "192.0.2.66").await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            locked = Some(answer);
            break;
        }
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let locked = locked.expect("the twelfth guess is too much");
    assert_eq!(locked["body"]["code"], "login-locked");
    assert_eq!(locked["wait"], "1");
    // The right password has to wait as well there, and is welcome from elsewhere.
    assert_eq!(attempt(&auth, PASSWORD, "192.0.2.66").await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(attempt(&auth, PASSWORD, "192.0.2.1").await.0, StatusCode::OK);
    auth.until("the wait is over", async || attempt(&auth, PASSWORD, "192.0.2.66").await.0 == StatusCode::OK).await;
    // And all is forgotten.
    assert_eq!(attempt(&auth, "a wrong password", "192.0.2.66").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn guesses_at_once_are_counted_one_by_one() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    let guesses = (0..30).map(|n| {
        let auth = &auth;
        async move { attempt(auth, &format!("wrong password {n}"), "192.0.2.66").await.0 }
    });
    let answers = futures::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    assert!((10..=13).contains(&looked_at), "{looked_at} of 30 guesses were looked at");
}

#[tokio::test]
async fn the_address_and_the_name_of_an_account_are_not_counted_apart() {
    let auth = Auth::start().await;
    auth.register("ada").await;
    let mut looked_at = 0;
    for n in 0..24 {
        let who = if n % 2 == 0 { json!({"email": "ada@example.org"}) } else { json!({"username": "ada"}) };
        let mut body = who;
        body["password"] = "a wrong password".into();
        if auth.post("/api/v1/auth/login", &body).await.0 == StatusCode::UNAUTHORIZED {
            looked_at += 1;
        }
    }
    assert!(looked_at <= 13, "{looked_at} of 24 guesses were looked at");
}
