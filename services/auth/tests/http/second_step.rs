use std::time::Duration;

use auth::second_step::totp::{Secret, step_at};
use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::service::{Auth, LoggedIn, PASSWORD, fields};

/// What somebody with a second step has: the app, and the sheet of recovery codes.
struct App {
    secret: Secret,
    recovery_codes: Vec<String>,
}

impl App {
    /// The code that the app shows now.
    fn code(&self, auth: &Auth) -> String {
        self.secret.code(step_at(auth.clock.now()))
    }
}

/// Base32 (RFC 4648) the other way round, as an app reads it.
fn from_base32(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for char in text.chars() {
        let five = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(char).unwrap();
        bits = (bits << 5) | u32::try_from(five).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count).unwrap());
            bits &= (1 << count) - 1;
        }
    }
    bytes
}

async fn begin(auth: &Auth, who: &LoggedIn) -> Secret {
    let (status, begun) = auth.post_by(who, "/api/v1/auth/mfa/totp", &json!({"password": PASSWORD})).await;
    assert_eq!(status, StatusCode::CREATED, "{begun}");
    Secret::from_bytes(&from_base32(begun["secret"].as_str().unwrap())).unwrap()
}

async fn enrol(auth: &Auth, who: &LoggedIn) -> App {
    let secret = begin(auth, who).await;
    let code = secret.code(step_at(auth.clock.now()));
    let (status, confirmed) = auth.post_by(who, "/api/v1/auth/mfa/totp/confirm", &json!({"code": code})).await;
    assert_eq!(status, StatusCode::OK, "{confirmed}");
    let codes = confirmed["recoveryCodes"].as_array().unwrap();
    // The code of this step is used up.
    auth.clock.advance(Duration::from_secs(30));
    App { secret, recovery_codes: codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect() }
}

async fn challenge(auth: &Auth, name: &str) -> String {
    let (status, asked) = auth.post("/api/v1/auth/login", &json!({"username": name, "password": PASSWORD})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{asked}");
    assert_eq!(asked["methods"], json!(["totp", "recovery-code"]));
    assert!(asked.get("accessToken").is_none());
    asked["challenge"].as_str().unwrap().to_owned()
}

async fn answer(auth: &Auth, body: Value) -> (StatusCode, Value) {
    auth.post("/api/v1/auth/mfa/totp/login", &body).await
}

#[tokio::test]
async fn with_a_second_step_the_password_alone_gives_a_challenge_and_a_code_the_session() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let app = enrol(&auth, &ada).await;
    let challenge = challenge(&auth, "ada").await;
    let (status, entered) = answer(&auth, json!({"challenge": challenge, "code": app.code(&auth)})).await;
    assert_eq!(status, StatusCode::OK, "{entered}");
    assert_eq!(entered["user"]["secondStep"], true);
    let entered = LoggedIn::from(entered);
    assert_eq!(auth.get("/api/v1/users/me", &entered.access_token).await.0, StatusCode::OK);
    let (_, shown) = auth.get("/api/v1/auth/mfa/totp", &entered.access_token).await;
    assert_eq!((&shown["enabled"], &shown["recoveryCodesLeft"]), (&true.into(), &10.into()));
}

#[tokio::test]
async fn nothing_is_asked_for_before_the_secret_is_confirmed() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let secret = begin(&auth, &ada).await;
    auth.login("ada").await;
    let wrong = auth.post_by(&ada, "/api/v1/auth/mfa/totp/confirm", &json!({"code": "000 000"})).await;
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, wrong), "invalid-code");
    auth.login("ada").await;
    auth.clock.advance(Duration::from_mins(15));
    let ada = auth.refresh(&ada.refresh_token).await.unwrap();
    let code = secret.code(step_at(auth.clock.now()));
    let late = auth.post_by(&ada, "/api/v1/auth/mfa/totp/confirm", &json!({"code": code})).await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, late), "nothing-to-confirm");
}

#[tokio::test]
async fn setting_it_up_takes_the_password_and_happens_once() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let begin = async |body| auth.post_by(&ada, "/api/v1/auth/mfa/totp", &body).await;
    assert_eq!(fields(&begin(json!({})).await.1), ["password"]);
    let wrong = begin(json!({"password": "another password"})).await;
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, wrong), "wrong-password");
    enrol(&auth, &ada).await;
    let again = begin(json!({"password": PASSWORD})).await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, again), "second-step-enabled");
}

#[tokio::test]
async fn a_code_works_once_however_many_use_it_at_the_same_moment() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let app = enrol(&auth, &ada).await;
    let mut challenges = Vec::new();
    for _ in 0..6 {
        challenges.push(challenge(&auth, "ada").await);
    }
    let code = app.code(&auth);
    let tries = challenges.iter().map(|challenge| answer(&auth, json!({"challenge": challenge, "code": code})));
    let answers = join_all(tries).await;
    let entered = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    let refused = answers.iter().filter(|(_, problem)| problem["code"] == "invalid-code").count();
    assert_eq!((entered, refused), (1, 5), "{answers:?}");
    // Nor do the code that confirmed it, and that of an earlier moment.
    let earlier = app.secret.code(step_at(auth.clock.now()) - 1);
    let challenge = challenge(&auth, "ada").await;
    let replayed = answer(&auth, json!({"challenge": challenge, "code": earlier})).await;
    assert_eq!(Auth::refused(StatusCode::UNAUTHORIZED, replayed), "invalid-code");
}

#[tokio::test]
async fn a_challenge_works_once_and_for_five_minutes() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let app = enrol(&auth, &ada).await;
    let first = challenge(&auth, "ada").await;
    assert_eq!(answer(&auth, json!({"challenge": first, "code": app.code(&auth)})).await.0, StatusCode::OK);
    auth.clock.advance(Duration::from_secs(30));
    let used = answer(&auth, json!({"challenge": first, "code": app.code(&auth)})).await;
    assert_eq!(Auth::refused(StatusCode::UNAUTHORIZED, used), "invalid-challenge");
    let second = challenge(&auth, "ada").await;
    auth.clock.advance(Duration::from_mins(5));
    let late = answer(&auth, json!({"challenge": second, "code": app.code(&auth)})).await;
    assert_eq!(Auth::refused(StatusCode::UNAUTHORIZED, late), "invalid-challenge");
    let made_up = answer(&auth, json!({"challenge": "made up", "code": "123456"})).await;
    assert_eq!(Auth::refused(StatusCode::UNAUTHORIZED, made_up), "invalid-challenge");
}

#[tokio::test]
async fn a_recovery_code_works_once_however_many_use_it_at_the_same_moment() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let app = enrol(&auth, &ada).await;
    let mut challenges = Vec::new();
    for _ in 0..4 {
        challenges.push(challenge(&auth, "ada").await);
    }
    let code = app.recovery_codes[3].to_lowercase();
    let tries = challenges.iter().map(|challenge| answer(&auth, json!({"challenge": challenge, "recoveryCode": code})));
    let answers = join_all(tries).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == StatusCode::OK).count(), 1, "{answers:?}");
    let (_, shown) = auth.get("/api/v1/auth/mfa/totp", &ada.access_token).await;
    assert_eq!(shown["recoveryCodesLeft"], 9);
}

#[tokio::test]
async fn new_recovery_codes_take_the_place_of_the_old_ones() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let app = enrol(&auth, &ada).await;
    let path = "/api/v1/auth/mfa/totp/recovery-codes";
    let (status, renewed) = auth.post_by(&ada, path, &json!({"password": PASSWORD})).await;
    assert_eq!(status, StatusCode::OK, "{renewed}");
    let challenge = challenge(&auth, "ada").await;
    let old = answer(&auth, json!({"challenge": challenge, "recoveryCode": app.recovery_codes[0]})).await;
    assert_eq!(Auth::refused(StatusCode::UNAUTHORIZED, old), "invalid-code");
    let new = answer(&auth, json!({"challenge": challenge, "recoveryCode": renewed["recoveryCodes"][0]})).await;
    assert_eq!(new.0, StatusCode::OK, "{}", new.1);
}

#[tokio::test]
async fn switching_it_off_takes_the_password() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    enrol(&auth, &ada).await;
    let disable = async |password: &str| {
        auth.post_by(&ada, "/api/v1/auth/mfa/totp/disable", &json!({"password": password})).await
    };
    assert_eq!(Auth::refused(StatusCode::FORBIDDEN, disable("another password").await), "wrong-password");
    challenge(&auth, "ada").await;
    assert_eq!(disable(PASSWORD).await.0, StatusCode::NO_CONTENT);
    auth.login("ada").await;
    assert_eq!(Auth::refused(StatusCode::CONFLICT, disable(PASSWORD).await), "second-step-not-enabled");
}

#[tokio::test]
async fn guessing_codes_is_slowed_down_for_the_account_wherever_it_comes_from() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    enrol(&auth, &ada).await;
    let challenge = challenge(&auth, "ada").await;
    let mut waits = None;
    for address in 1..=12 {
        let request = auth.client.post(auth.url("/api/v1/auth/mfa/totp/login"));
        let request = request.header("x-forwarded-for", format!("192.0.2.{address}"));
        let answer = request.json(&json!({"challenge": challenge, "code": "abcdef"})).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            waits = answer.headers().get("retry-after").cloned();
            break;
        }
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(waits.expect("the twelfth guess is too much"), "1");
}

#[tokio::test]
async fn the_database_keeps_neither_the_secret_nor_a_recovery_code_nor_a_challenge() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let app = enrol(&auth, &ada).await;
    let challenge = challenge(&auth, "ada").await;
    let documents = auth.documents().await;
    for secret in [&app.secret.base32(), &challenge, &app.recovery_codes[0]] {
        assert!(!documents.contains(secret.as_str()), "{secret} in {documents}");
    }
    let record = auth.all::<mongodb::bson::Document>("users", mongodb::bson::doc! {}).await.remove(0);
    let kept = record.get_document("secondStep").unwrap();
    let bytes = kept.get_document("secret").unwrap().get_binary_generic("ciphertext").unwrap();
    assert_eq!(bytes.len(), 20 + 16);
    assert!(!bytes.windows(20).any(|window| window == app.secret.bytes()));
}

#[tokio::test]
async fn after_a_rotation_the_secret_is_encrypted_anew_when_it_is_used() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let app = enrol(&auth, &ada).await;
    auth.rotate_account_key("ak-2");
    auth.until("the secret is kept under the new key", async || {
        auth.clock.advance(Duration::from_secs(30));
        let challenge = challenge(&auth, "ada").await;
        assert_eq!(answer(&auth, json!({"challenge": challenge, "code": app.code(&auth)})).await.0, StatusCode::OK);
        auth.documents().await.contains("ak-2")
    })
    .await;
    auth.clock.advance(Duration::from_secs(30));
    let challenge = challenge(&auth, "ada").await;
    assert_eq!(answer(&auth, json!({"challenge": challenge, "code": app.code(&auth)})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_missing_from_the_second_step_is_named() {
    let auth = Auth::start().await;
    assert_eq!(fields(&answer(&auth, json!({})).await.1), ["code", "challenge"]);
    let both = json!({"challenge": "c", "code": "1", "recoveryCode": "2"});
    assert_eq!(fields(&answer(&auth, both).await.1), ["recoveryCode"]);
}
