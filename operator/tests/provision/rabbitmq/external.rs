//! A broker that somebody else runs.

use operator::provision::rabbitmq::external;
use operator::secrets::Connection as Given;
use rcgen::{CertificateParams, KeyPair};
use secrecy::SecretString;
use servers::RabbitMq;

use super::*;

fn given(uri: &str) -> Given {
    install_crypto();
    Given { uri: SecretString::from(uri), authority: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_opens_a_channel_is_ready_and_stays_as_it_was() {
    let broker = RabbitMq::start().unwrap();
    let uri = broker.virtual_host();
    let definitions = async || {
        let url = format!("{}/api/definitions", broker.management_url());
        let answer = reqwest::Client::new().get(url).basic_auth("admin", Some("admin")).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    install_crypto();
    let before = definitions().await;
    let state = external(&given(&uri)).await.unwrap();
    assert!(state.ready);
    assert_eq!(state.changes, Vec::<String>::new());
    let virtual_host = uri.rsplit('/').next().unwrap();
    assert_eq!(state.message, format!("opens channels in virtual host {virtual_host:?} at {}", broker.address()));
    assert_eq!(definitions().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_broker_is_said_in_its_own_words_with_a_cure() {
    let broker = tokio::task::spawn_blocking(RabbitMq::shared).await.unwrap();
    let address = broker.address();

    let wrong = format!("amqp://admin:wrong-password@{address}/%2f");
    let error = external(&given(&wrong)).await.unwrap_err();
    assert_eq!((error.category().as_str(), error.is_final()), ("RabbitMQAccessDenied", true), "{error}");
    assert!(error.to_string().contains("ACCESS_REFUSED") && error.to_string().contains("Correct user"), "{error}");
    assert!(!error.to_string().contains("wrong-password"));

    let error = external(&given(&broker.uri_of("nowhere"))).await.unwrap_err();
    assert_eq!(error.category(), "RabbitMQAccessDenied", "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");

    let error = external(&given(&format!("amqp://a:b@{}/c", nobody()))).await.unwrap_err();
    assert_eq!((error.category().as_str(), error.is_final()), ("RabbitMQUnreachable", false), "{error}");

    // The parser's own words would hold all of it.
    for text in ["secret-word:stuff", "http://u:secret-word@host/"] {
        let error = external(&given(text)).await.unwrap_err();
        assert_eq!(error.category(), "RabbitMQConflict", "{error}");
        assert!(!error.to_string().contains("secret-word"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_broker_is_believed_by_the_authority_that_the_secret_gives() {
    install_crypto();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let broker = RabbitMq::start_with_certificate(&certificate.pem(), &key.serialize_pem()).unwrap();
    let port = broker.tls_address().unwrap().rsplit(':').next().unwrap();
    let mut given = given(&format!("amqps://admin:admin@localhost:{port}/%2f"));

    let error = external(&given).await.unwrap_err();
    assert_eq!(error.category(), "RabbitMQUnreachable", "{error}");
    assert!(error.to_string().contains("ca.crt"), "{error}");
    given.authority = Some(certificate.pem());
    assert!(external(&given).await.unwrap().ready);
}
