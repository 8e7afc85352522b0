use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::{Client, Config};
use aws_smithy_http_client::Builder;
use operator::provision::object_storage::{Kind, Target, provision};
use operator::secrets::{Names, ObjectStorage as Account};
use operator::validate::Bucket;
use secrecy::SecretString;
use servers::ObjectStorage;

use super::{names, nobody};

const ORIGIN: &str = "https://chat.acme.example";

fn target(store: &ObjectStorage) -> Target {
    Target {
        endpoint: store.endpoint(),
        region: store.region().to_owned(),
        bucket: format!("bucket-{}", rand::random::<u32>()),
        path_style: true,
        access_key_id: store.access_key_id().to_owned(),
        secret_access_key: SecretString::from(store.secret_access_key()),
        kind: Kind::Managed { cors_origin: ORIGIN.to_owned() },
    }
}

/// A bucket that somebody else has made.
fn external(store: &ObjectStorage) -> Target {
    Target { bucket: store.bucket(), kind: Kind::External, ..target(store) }
}

fn client(store: &ObjectStorage) -> Client {
    let credentials = Credentials::new(store.access_key_id(), store.secret_access_key(), None, None, "tests");
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(Builder::new().build_http())
        .endpoint_url(store.endpoint())
        .region(Region::new(store.region()))
        .force_path_style(true)
        .credentials_provider(credentials)
        .build();
    Client::from_conf(config)
}

/// What a browser asks before it sends a file from a page of `origin`.
async fn preflight(target: &Target, origin: &str) -> reqwest::Response {
    super::install_crypto();
    reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, format!("{}/{}/a-file", target.endpoint, target.bucket))
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type")
        .send()
        .await
        .unwrap()
}

#[test]
fn a_platforms_store_is_its_own_or_the_bucket_that_it_is_given() {
    let names: Names = names();
    let account =
        Account { access_key_id: "id".to_owned(), secret_access_key: SecretString::from("secret"), is_own: true };
    let own = Target::new(&names, &account, None);
    assert_eq!(own.endpoint, "http://acme-object-storage.chat.svc:7070");
    assert_eq!(own.kind, Kind::Managed { cors_origin: ORIGIN.to_owned() });
    let bucket = Bucket {
        endpoint: "https://s3.example".to_owned(),
        region: "eu-central-1".to_owned(),
        name: "files".to_owned(),
        path_style: false,
        public_url: "https://files.example".to_owned(),
    };
    let theirs = Target::new(&names, &account, Some(&bucket));
    assert_eq!((theirs.endpoint.as_str(), theirs.bucket.as_str()), ("https://s3.example", "files"));
    assert_eq!((theirs.kind, theirs.path_style), (Kind::External, false));
}

#[tokio::test]
async fn the_bucket_is_created_once_and_opened_to_the_platforms_pages_alone() {
    let mut target = target(ObjectStorage::shared());
    let state = provision(&target).await.unwrap();
    assert!(state.ready);
    let bucket = &target.bucket;
    assert_eq!(state.changes, [format!("created bucket {bucket}"), format!("opened bucket {bucket} to {ORIGIN}")]);
    let again = provision(&target).await.unwrap();
    assert!(again.ready);
    assert_eq!(again.changes, Vec::<String>::new());

    let allowed = preflight(&target, ORIGIN).await;
    assert!(allowed.status().is_success(), "{}", allowed.status());
    assert_eq!(allowed.headers()["access-control-allow-origin"], ORIGIN);
    assert!(!preflight(&target, "https://evil.example").await.status().is_success());

    // The platform has moved to another host.
    target.kind = Kind::Managed { cors_origin: "https://new.example".to_owned() };
    let moved = provision(&target).await.unwrap();
    assert_eq!(moved.changes, [format!("opened bucket {} to https://new.example", target.bucket)]);
    assert!(!preflight(&target, ORIGIN).await.status().is_success());
}

#[tokio::test]
async fn a_wrong_secret_and_a_store_that_is_not_there_are_told_apart() {
    let mut target = target(ObjectStorage::shared());
    target.secret_access_key = SecretString::from("wrong-secret");
    let error = provision(&target).await.unwrap_err();
    assert_eq!(error.category(), "ObjectStorageAccessDenied", "{error}");
    assert!(!error.to_string().contains("wrong-secret"));

    target.endpoint = format!("http://{}", nobody());
    let error = provision(&target).await.unwrap_err();
    assert_eq!(error.category(), "ObjectStorageUnreachable", "{error}");
}

#[tokio::test]
async fn somebody_elses_bucket_is_tried_and_left_as_it_was() {
    let store = ObjectStorage::shared();
    let target = external(store);
    let state = provision(&target).await.unwrap();
    assert!(state.ready);
    assert_eq!(state.changes, Vec::<String>::new());
    let message = format!("puts, gets and deletes objects in bucket {} at {}", target.bucket, target.endpoint);
    assert_eq!(state.message, message);

    let left = client(store).list_objects_v2().bucket(&target.bucket).send().await.unwrap();
    assert_eq!(left.contents().len(), 0, "{left:?}");
    assert!(client(store).get_bucket_cors().bucket(&target.bucket).send().await.is_err());
}

#[tokio::test]
async fn what_is_wrong_with_somebody_elses_bucket_is_said_in_the_stores_words_with_a_cure() {
    let store = ObjectStorage::shared();
    let said = async |target: &Target| {
        let error = provision(target).await.unwrap_err();
        (error.category(), error.to_string())
    };
    let target = external(store);

    let missing = Target { bucket: "no-such-bucket-here".to_owned(), ..target.clone() };
    let (category, words) = said(&missing).await;
    assert_eq!(category, "ObjectStorageFailed", "{words}");
    assert!(words.contains("NoSuchBucket") && words.contains("Make bucket no-such-bucket-here there"), "{words}");
    assert!(client(store).head_bucket().bucket(&missing.bucket).send().await.is_err());

    let (category, words) =
        said(&Target { secret_access_key: SecretString::from("wrong-secret"), ..target.clone() }).await;
    assert_eq!(category, "ObjectStorageAccessDenied", "{words}");
    assert!(words.contains("SignatureDoesNotMatch") && words.contains("Correct accessKeyId"), "{words}");
    assert!(!words.contains("wrong-secret"));

    let (category, words) = said(&Target { access_key_id: "NOBODY".to_owned(), ..target.clone() }).await;
    assert_eq!(category, "ObjectStorageAccessDenied", "{words}");
    assert!(words.contains("access key ID") && words.contains("Correct accessKeyId"), "{words}");

    let (category, words) = said(&Target { region: "eu-north-1".to_owned(), ..target.clone() }).await;
    assert_eq!(category, "ObjectStorageFailed", "{words}");
    assert!(words.contains("spec.objectStorage.external.region"), "{words}");

    let (category, words) = said(&Target { endpoint: format!("http://{}", nobody()), ..target }).await;
    assert_eq!(category, "ObjectStorageUnreachable", "{words}");
    assert!(words.contains("spec.objectStorage.external.endpoint"), "{words}");
}
