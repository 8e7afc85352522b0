use servers::OpenSearch;

#[test]
fn what_was_written_is_there_after_a_crash_and_nobody_is_let_in_without_the_password() {
    let mut server = OpenSearch::start().unwrap();
    let document = format!("{}/letters/_doc/a", server.endpoint());
    let stranger = ureq::put(&document).send_json(serde_json::json!({})).unwrap_err();
    assert!(matches!(stranger, ureq::Error::StatusCode(401)), "{stranger}");

    let put = ureq::put(&document).header("authorization", OpenSearch::authorization());
    put.send_json(serde_json::json!({"text": "hello"})).unwrap();
    server.kill();
    server.restart().unwrap();

    assert_eq!(server.get("/letters/_doc/a").unwrap()["_source"]["text"], "hello");
    assert_eq!(server.count("letters").unwrap(), 1);
    server.delete("letters").unwrap();
    assert!(server.count("letters").is_err());
}
