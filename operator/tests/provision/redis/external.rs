//! Redis that somebody else runs.

use operator::provision::redis::external;
use operator::secrets::Connection;
use secrecy::SecretString;
use servers::{Authority, Identity, Redis, RedisTrio, TrioSecrets};

use crate::{install_crypto, nobody};

const ACL: &str = "user default off\nuser theirs on >secret ~* &* +@all -@dangerous\n";

fn connection(url: &str) -> Connection {
    Connection { uri: SecretString::from(url), authority: None }
}

#[tokio::test]
async fn a_login_that_is_good_is_all_that_is_wanted_and_nothing_is_touched() {
    let server = Redis::start_with_users(ACL).unwrap();
    let state = external(&connection(&server.url_for("theirs", "secret"))).await.unwrap();
    assert!(state.ready);
    assert_eq!(state.message, format!("{} answers", server.address()));
    assert_eq!((state.changes, state.members), (vec![], vec![]));
    assert!(state.version.unwrap().starts_with("7."));
}

#[tokio::test]
async fn a_wrong_password_a_wrong_url_and_nobody_are_told_apart_and_the_password_is_not_told() {
    let server = Redis::start_with_users(ACL).unwrap();
    for (url, category, words) in [
        (server.url_for("theirs", "hidden"), "RedisAccessDenied", "refuses user theirs"),
        (format!("redis://theirs:hidden@{}", nobody()), "RedisUnreachable", "does not answer"),
        ("http://theirs:hidden@redis.example".to_owned(), "RedisConflict", "must begin with redis://"),
        ("redis+sentinel://theirs:hidden@a:1".to_owned(), "RedisConflict", "must name the master after the sentinels"),
    ] {
        let error = external(&connection(&url)).await.unwrap_err();
        assert_eq!(error.category(), category, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}

#[tokio::test]
async fn the_master_is_found_by_sentinels_and_a_replica_is_no_good() {
    let trio = RedisTrio::start(TrioSecrets::default()).unwrap();
    let state = external(&connection(&trio.url_for("test", "secret"))).await.unwrap();
    assert_eq!((state.ready, state.message), (true, format!("{} answers", trio.address(0))));

    let replica = external(&connection(&format!("redis://test:secret@{}/", trio.address(1)))).await.unwrap();
    assert!(!replica.ready);
    assert!(replica.message.contains("is a replica, and services have to write"), "{}", replica.message);

    let unknown = trio.url_for("test", "secret").replace("/chatplatform/", "/other/");
    let error = external(&connection(&unknown)).await.unwrap_err();
    assert!(error.to_string().contains("knows no master other"), "{error}");
}

#[tokio::test]
async fn a_certificate_is_checked_against_the_authority_that_was_given() {
    install_crypto();
    let authority = Authority::new().unwrap();
    let Identity { certificate, key } = authority.issue().unwrap();
    let server = Redis::start_with_tls(ACL, &certificate, &key).unwrap();
    let url = server.url_for("theirs", "secret").replace("redis://", "rediss://");
    let trusting = Connection { uri: SecretString::from(url.clone()), authority: Some(authority.pem()) };
    let state = external(&trusting).await.unwrap();
    assert!(state.ready, "{state:?}");

    let distrusting = external(&connection(&url)).await.unwrap_err();
    assert_eq!(distrusting.category(), "RedisUnreachable", "{distrusting}");
    assert!(distrusting.to_string().to_lowercase().contains("certificate"), "{distrusting}");
}
