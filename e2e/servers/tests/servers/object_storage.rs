use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::{Client, Config};
use aws_smithy_http_client::{Builder, tls};
use servers::ObjectStorage;

#[tokio::test(flavor = "multi_thread")]
async fn an_object_comes_back_whole_and_by_range() {
    let store = ObjectStorage::shared();
    let (client, bucket) = (client(store, store.secret_access_key()), store.bucket());
    let body = ByteStream::from_static(b"0123456789");
    client.put_object().bucket(&bucket).key("a/b").body(body).send().await.unwrap();
    let get = || client.get_object().bucket(&bucket).key("a/b");
    let whole = get().send().await.unwrap().body.collect().await.unwrap();
    let part = get().range("bytes=2-4").send().await.unwrap().body.collect().await.unwrap();
    assert_eq!((&whole.into_bytes()[..], &part.into_bytes()[..]), (&b"0123456789"[..], &b"234"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused() {
    let store = ObjectStorage::shared();
    let bucket = store.bucket();
    let refused = client(store, "wrong").list_objects_v2().bucket(bucket).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("SignatureDoesNotMatch"));
}

fn client(store: &ObjectStorage, secret: &str) -> Client {
    let http = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(store.endpoint())
        .region(Region::new(store.region()))
        .credentials_provider(Credentials::new(store.access_key_id(), secret, None, None, "tests"))
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}
