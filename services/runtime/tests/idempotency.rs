//! `Idempotency-Key` on a real database: carried out once, answered as often as asked.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::{Extension, Router, body::Body, extract::FromRef, extract::State, response::Response};
use contract::id::{SessionId, UserId};
use http::{Request, StatusCode, header};
use jiff::Timestamp;
use runtime::{
    clock::Clock,
    config::Tokens,
    extract::Json,
    idempotency::{self, Idempotency},
    identity::{Identity, TokenVerifier},
    openapi::{Api, post},
    problem::ApiResult,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use servers::access_tokens::{ISSUER, access_token, write_jwks};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// A service with one operation: a till that counts what was bought.
struct Till {
    app: Router,
    clock: Clock,
    state: TillState,
    _folder: tempfile::TempDir,
}

#[derive(Clone)]
struct TillState {
    bought: Arc<AtomicUsize>,
    /// Whether the till is open: a purchase waits for it.
    open: Arc<Semaphore>,
    tokens: TokenVerifier,
}

impl FromRef<TillState> for TokenVerifier {
    fn from_ref(state: &TillState) -> Self {
        state.tokens.clone()
    }
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Purchase {
    what: String,
}

async fn buy(
    State(state): State<TillState>,
    _: Identity,
    Json(purchase): Json<Purchase>,
) -> ApiResult<(StatusCode, [(header::HeaderName, String); 1], Json<Value>)> {
    if purchase.what == "nothing" {
        return Err(contract::problem::Problem::conflict("Nothing cannot be bought.").into());
    }
    let count = state.bought.fetch_add(1, Ordering::SeqCst) + 1;
    state.open.acquire().await.unwrap().forget();
    let location = [(header::LOCATION, format!("/receipts/{count}"))];
    Ok((StatusCode::CREATED, location, Json(json!({"receipt": count, "what": purchase.what}))))
}

impl Till {
    /// With room for so many purchases before the till has to be opened again.
    async fn open_for(purchases: usize) -> Self {
        let uri = tokio::task::spawn_blocking(|| servers::MongoDb::shared().uri()).await.unwrap();
        let database = mongodb::Client::with_uri_str(uri).await.unwrap();
        let database = runtime::connect::Database::from(database.database(&format!("till-{}", UserId::generate())));
        (idempotency::MIGRATION.run)(database.clone()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_jwks(folder.path()).unwrap();
        let tokens = Tokens {
            issuer: ISSUER.into(),
            audience: "chatplatform".into(),
            jwks_file: folder.path().join("jwks.json"),
            signing_keys_file: None,
        };
        let tokens = TokenVerifier::new(&tokens, Clock::system()).unwrap();
        let clock = Clock::manual(Timestamp::now());
        let state = TillState { bought: Arc::default(), open: Arc::new(Semaphore::new(purchases)), tokens };
        let sale = || post("Buy", buy).body::<Purchase>().answers::<Purchase>(StatusCode::CREATED).answered_once();
        let (routes, _) = Api::new("till").route("/buy", [sale()]).route("/rent", [sale()]).finish("Till", "1");
        let idempotency = Idempotency::new(&database, state.tokens.clone(), clock.clone());
        let app = routes.layer(Extension(idempotency)).with_state(state.clone());
        Self { app, clock, state, _folder: folder }
    }

    async fn send(&self, token: &str, key: Option<&str>, path: &str, what: &str) -> Response {
        let mut request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        self.app.clone().oneshot(request.body(Body::from(json!({"what": what}).to_string())).unwrap()).await.unwrap()
    }

    fn bought(&self) -> usize {
        self.state.bought.load(Ordering::SeqCst)
    }

    async fn until_bought(&self, count: usize) {
        let waiting = async {
            while self.bought() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap();
    }
}

fn somebody() -> String {
    access_token(&json!({"sub": UserId::generate(), "sid": SessionId::generate()}))
}

/// Status, place and body.
async fn read(response: Response) -> (u16, Option<String>, Value) {
    let (parts, body) = response.into_parts();
    let place = parts.headers.get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(body, 10_000).await.unwrap();
    (parts.status.as_u16(), place, serde_json::from_slice(&body).unwrap())
}

async fn code(response: Response) -> (u16, String) {
    let (status, _, body) = read(response).await;
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_under_its_key_is_done_once_and_answered_alike() {
    let till = Till::open_for(9).await;
    let ada = somebody();
    let first = till.send(&ada, Some("k"), "/buy", "bread").await;
    assert_eq!(first.headers()[header::CONTENT_TYPE], "application/json");
    let first = read(first).await;
    assert_eq!(first, (201, Some("/receipts/1".to_owned()), json!({"receipt": 1, "what": "bread"})));
    let again = till.send(&ada, Some("k"), "/buy", "bread").await;
    assert_eq!(again.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(read(again).await, first);
    assert_eq!(till.bought(), 1);
    for _ in 0..2 {
        assert_eq!(till.send(&ada, None, "/buy", "bread").await.status(), StatusCode::CREATED);
    }
    assert_eq!(till.bought(), 3, "without a key nothing is remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_one_callers_for_one_route_and_one_body() {
    let till = Till::open_for(9).await;
    let (ada, bob) = (somebody(), somebody());
    assert_eq!(till.send(&ada, Some("k"), "/buy", "bread").await.status(), StatusCode::CREATED);
    assert_eq!(
        code(till.send(&ada, Some("k"), "/buy", "salt").await).await,
        (422, "idempotency-key-reused".to_owned())
    );
    assert_eq!(till.send(&bob, Some("k"), "/buy", "salt").await.status(), StatusCode::CREATED);
    assert_eq!(till.send(&ada, Some("k"), "/rent", "a boat").await.status(), StatusCode::CREATED);
    assert_eq!(till.bought(), 3);
    assert_eq!(
        code(till.send(&ada, Some("two words"), "/buy", "salt").await).await,
        (400, "validation-failed".to_owned())
    );
    assert_eq!(till.send("nobody", Some("k"), "/buy", "bread").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(till.bought(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_under_way_the_same_request_is_told_to_wait() {
    let till = Arc::new(Till::open_for(0).await);
    let ada = somebody();
    let first = tokio::spawn({
        let (till, ada) = (Arc::clone(&till), ada.clone());
        async move { read(till.send(&ada, Some("k"), "/buy", "bread").await).await }
    });
    till.until_bought(1).await;
    let meanwhile = till.send(&ada, Some("k"), "/buy", "bread").await;
    assert_eq!(meanwhile.headers()[header::RETRY_AFTER], "1");
    assert_eq!(code(meanwhile).await, (409, "idempotency-key-in-use".to_owned()));
    till.state.open.add_permits(1);
    let first = first.await.unwrap();
    assert_eq!(read(till.send(&ada, Some("k"), "/buy", "bread").await).await, first);
    assert_eq!(till.bought(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_is_carried_out() {
    let till = Till::open_for(9).await;
    let ada = somebody();
    let answers = (0..8).map(|_| async { code(till.send(&ada, Some("k"), "/buy", "bread").await).await.0 });
    let answers = futures::future::join_all(answers).await;
    assert!(answers.iter().all(|status| [201, 409].contains(status)) && answers.contains(&201), "{answers:?}");
    assert_eq!(till.bought(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_begun_is_brought_to_its_end_though_the_caller_is_gone() {
    let till = Arc::new(Till::open_for(0).await);
    let ada = somebody();
    let gone = tokio::spawn({
        let (till, ada) = (Arc::clone(&till), ada.clone());
        async move { till.send(&ada, Some("k"), "/buy", "bread").await }
    });
    till.until_bought(1).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    till.state.open.add_permits(1);
    let answered = async {
        loop {
            let (status, place, body) = read(till.send(&ada, Some("k"), "/buy", "bread").await).await;
            if status != 409 {
                return (status, place, body);
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_mins(1), answered).await.unwrap();
    assert_eq!(answer, (201, Some("/receipts/1".to_owned()), json!({"receipt": 1, "what": "bread"})));
    assert_eq!(till.bought(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_the_key_free() {
    let till = Till::open_for(9).await;
    let ada = somebody();
    assert_eq!(code(till.send(&ada, Some("k"), "/buy", "nothing").await).await, (409, "conflict".to_owned()));
    assert_eq!(till.send(&ada, Some("k"), "/buy", "bread").await.status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claim_of_a_process_that_died_runs_out_and_a_key_is_forgotten_after_a_day() {
    let till = Arc::new(Till::open_for(0).await);
    let ada = somebody();
    // It is never answered, as if its process had died.
    let dead = tokio::spawn({
        let (till, ada) = (Arc::clone(&till), ada.clone());
        async move { till.send(&ada, Some("k"), "/buy", "bread").await }
    });
    till.until_bought(1).await;
    till.clock.advance(Duration::from_mins(1));
    assert_eq!(
        code(till.send(&ada, Some("k"), "/buy", "salt").await).await.0,
        422,
        "even then the key is the first one's"
    );
    let second = tokio::spawn({
        let (till, ada) = (Arc::clone(&till), ada.clone());
        async move { till.send(&ada, Some("k"), "/buy", "bread").await }
    });
    till.until_bought(2).await;
    till.state.open.add_permits(9);
    assert_eq!(second.await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(dead.await.unwrap().status(), StatusCode::CREATED);
    let kept = till.send(&ada, Some("k"), "/buy", "bread").await;
    assert_eq!((kept.status(), till.bought()), (StatusCode::CREATED, 2));
    till.clock.advance(Duration::from_hours(24));
    assert_eq!(till.send(&ada, Some("k"), "/buy", "salt").await.status(), StatusCode::CREATED);
    assert_eq!(till.bought(), 3);
}
