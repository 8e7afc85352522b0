use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::service::Auth;

#[tokio::test]
async fn the_published_keys_are_public_and_may_be_cached() {
    let auth = Auth::start().await;
    let answer = auth.client.get(auth.url("/.well-known/jwks.json")).send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "public, max-age=60");
    let text = answer.text().await.unwrap();
    let set: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&set["keys"][0]["kty"], &set["keys"][0]["crv"]), (&"OKP".into(), &"Ed25519".into()));
    assert!(set["keys"][0]["d"].is_null() && !text.contains("\"d\""));
}

#[tokio::test]
async fn a_token_names_a_published_key_and_says_what_the_contract_says() {
    let auth = Auth::start().await;
    let ada = auth.register("ada").await;
    let parts: Vec<Value> = ada
        .access_token
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    let (header, claims) = (&parts[0], &parts[1]);
    let (_, set) = auth.get("/.well-known/jwks.json", "").await;
    assert_eq!((&header["alg"], &header["typ"]), (&"EdDSA".into(), &"at+jwt".into()));
    assert_eq!(header["kid"], set["keys"][0]["kid"]);
    assert_eq!((&claims["iss"], &claims["aud"]), (&"https://chat.example.org".into(), &"chatplatform".into()));
    assert_eq!((&claims["sub"], &claims["name"]), (&ada.user["id"], &"ada".into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    assert!(claims["jti"].is_string() && claims["sid"].is_string());
}

#[tokio::test]
async fn a_new_signing_key_is_used_without_a_restart_and_old_tokens_stay_good() {
    let auth = Auth::start().await;
    let before = auth.register("ada").await;
    auth.rotate_signing_key("kid-2");
    auth.until("tokens are signed with the new key", async || {
        let header = auth.login("ada").await.access_token;
        let header = BASE64_URL_SAFE_NO_PAD.decode(header.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()["kid"] == "kid-2"
    })
    .await;
    let after = auth.login("ada").await;
    auth.until("both tokens are accepted", async || {
        auth.get("/api/v1/users/me", &before.access_token).await.0.is_success()
            && auth.get("/api/v1/users/me", &after.access_token).await.0.is_success()
    })
    .await;
}

#[tokio::test]
async fn the_admin_port_tells_which_key_signs_and_which_are_accepted_and_shows_none() {
    let auth = Auth::start().await;
    let signing = async || {
        let health = auth.client.get(format!("{}/health", auth.admin())).send().await.unwrap().text().await.unwrap();
        assert!(!health.contains("\"d\"") && !health.contains("\"x\""), "{health}");
        serde_json::from_str::<Value>(&health).unwrap()["keys"]["signing"].clone()
    };
    assert_eq!(signing().await, json!({"current": "kid-1", "accepted": ["kid-1"]}));
    auth.rotate_signing_key("kid-2");
    auth.until("both keys are accepted, and the new one signs", async || {
        signing().await == json!({"current": "kid-2", "accepted": ["kid-1", "kid-2"]})
    })
    .await;
    let metrics = auth.client.get(format!("{}/metrics", auth.admin())).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"key_generation{ring="signing",role="current",kid="kid-2"} 1"#), "{metrics}");
}
