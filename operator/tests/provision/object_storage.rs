use operator::provision::object_storage::{Target, provision};
use secrecy::SecretString;
use servers::ObjectStorage;

use super::nobody;

fn target(store: &ObjectStorage) -> Target {
    Target {
        endpoint: store.endpoint(),
        region: store.region().to_owned(),
        bucket: format!("bucket-{}", rand::random::<u32>()),
        path_style: true,
        access_key_id: store.access_key_id().to_owned(),
        secret_access_key: SecretString::from(store.secret_access_key()),
    }
}

#[tokio::test]
async fn the_bucket_is_created_once() {
    let target = target(ObjectStorage::shared());
    let state = provision(&target).await.unwrap();
    assert!(state.ready);
    assert_eq!(state.changes, [format!("created bucket {}", target.bucket)]);
    let again = provision(&target).await.unwrap();
    assert!(again.ready);
    assert_eq!(again.changes, Vec::<String>::new());
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
