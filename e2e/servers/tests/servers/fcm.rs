use serde_json::{Value, json};
use servers::Fcm;
use servers::fcm::PROJECT;

/// Status and body of an answer, whatever the status.
fn post(url: &str, content_type: &str, bearer: &str, body: &str) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.post(url).header("content-type", content_type).header("authorization", bearer);
    let mut answer = request.send(body).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
}

#[test]
fn who_does_not_show_the_service_accounts_signature_gets_no_token_and_without_one_nothing_is_taken() {
    let fcm = Fcm::start().unwrap();
    let key = fcm.credentials().unwrap();
    let token_uri = key["token_uri"].as_str().unwrap();
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    // {"alg":"none"} and {"alg":"RS256"}, without a signature.
    for assertion in ["", "x", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA"] {
        let (status, answer) = post(token_uri, "application/x-www-form-urlencoded", "", &format!("{grant}{assertion}"));
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "{assertion}");
    }

    let send = format!("{}/v1/projects/{PROJECT}/messages:send", fcm.url());
    let message = json!({"message": {"token": "phone"}}).to_string();
    for bearer in ["", "Bearer ya29.guessed"] {
        let (status, answer) = post(&send, "application/json", bearer, &message);
        assert_eq!((status, &answer["error"]["status"]), (401, &json!("UNAUTHENTICATED")), "{bearer:?}");
    }
    assert_eq!(fcm.messages().unwrap(), Vec::<Value>::new());
    let counts = fcm.counts().unwrap();
    assert_eq!((counts.tokens, counts.refused_assertions, counts.sends), (0, 4, 2));
}
