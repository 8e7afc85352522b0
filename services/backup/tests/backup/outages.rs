//! A store that is away, or is not what the settings say.

use std::fs;

use backup::error::Error;
use servers::ObjectStorage;

use crate::world::{World, bulk, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_goes_away_in_the_middle_leaves_no_backup_that_counts() {
    let mut store = ObjectStorage::start().unwrap();
    let world = World::with(&store);
    world.database("auth").await.collection("users").insert_many(bulk(10)).await.unwrap();
    for _ in 0..4 {
        let some = bulk(10_000).into_iter().map(|mut one| {
            one.remove("_id");
            one
        });
        world.database("chat").await.collection("messages").insert_many(some).await.unwrap();
    }
    let (outcome, mut store) = tokio::join!(world.take(), async {
        until("a file has been written", async || world.keys().await.iter().any(|key| key.ends_with("users.bson.gz")))
            .await;
        store.kill();
        store
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error}");
    assert!(error.to_string().contains("spec.backup.objectStorage"), "{error}");

    store.restart().unwrap();
    let inventory = world.bucket.inventory().await.unwrap();
    assert!(inventory.whole.is_empty(), "{inventory:?}");
    let missing = world.bucket.find("latest").await.unwrap_err();
    assert!(matches!(missing, Error::NoSuchBackup { .. }), "{missing}");
    world.take().await.unwrap();
    assert_eq!(world.bucket.inventory().await.unwrap().whole.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_and_a_wrong_secret_are_told_with_their_cure() {
    let mut world = World::new();
    let there = world.settings.object_storage.bucket.clone();
    world.settings.object_storage.bucket = "not-there".to_owned();
    let said = async |world: &World| {
        let bucket = backup::bucket::Bucket::new(&world.settings.object_storage, "a/b").unwrap();
        bucket.inventory().await.map_err(Error::from).unwrap_err().to_string()
    };
    let no_bucket = said(&world).await;
    assert!(no_bucket.contains("Make the bucket, or correct spec.backup.objectStorage.bucket"), "{no_bucket}");

    world.settings.object_storage.bucket = there;
    fs::write(&world.settings.object_storage.secret_access_key_file, "not-the-secret").unwrap();
    let wrong = said(&world).await;
    assert!(wrong.contains("Correct accessKeyId and secretAccessKey"), "{wrong}");
    assert!(!wrong.contains("not-the-secret"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_stopped_takes_back_what_it_has_written() {
    let world = World::new();
    for _ in 0..10 {
        let some = bulk(10_000).into_iter().map(|mut one| {
            one.remove("_id");
            one
        });
        world.database("chat").await.collection("messages").insert_many(some).await.unwrap();
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let (uri, clock) = (world.source.uri(), runtime::clock::Clock::system());
    let (outcome, ()) = tokio::join!(backup::take::take(&world.bucket, &uri, "a/b", &clock, &stop), async {
        until("parts of a file are on their way", async || world.uploads().await > 0).await;
        stop.cancel();
    });
    assert!(matches!(outcome, Err(Error::Stopped)), "{outcome:?}");
    assert_eq!((world.keys().await, world.uploads().await), (vec![], 0));
}
