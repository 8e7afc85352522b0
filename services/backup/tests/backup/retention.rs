//! How many backups are kept.

use std::time::Duration;

use backup::command;
use jiff::Timestamp;
use runtime::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::world::{PREFIX, World, file};

async fn names(world: &World) -> Vec<String> {
    world.bucket.inventory().await.unwrap().whole.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_goes_only_once_the_new_one_is_whole() {
    let mut world = World::new();
    world.settings.backup.retention = 2;
    let (clock, stop) = (Clock::manual(Timestamp::now()), CancellationToken::new());
    for _ in 0..2 {
        command::run(&world.settings, &clock, &stop).await.unwrap();
        clock.advance(Duration::from_hours(24));
    }
    let before = names(&world).await;
    assert_eq!(before.len(), 2);

    // One that does not come to its end takes the place of none.
    let stopped = CancellationToken::new();
    stopped.cancel();
    world.database("chat").await.collection("messages").insert_many(crate::world::bulk(3)).await.unwrap();
    let error = command::run(&world.settings, &clock, &stopped).await.unwrap_err();
    assert!(error.to_string().contains("told to stop"), "{error}");
    assert_eq!(names(&world).await, before);

    let report = command::run(&world.settings, &clock, &stop).await.unwrap();
    let after = names(&world).await;
    assert_eq!(after, [before[1].clone(), report["backup"].as_str().unwrap().to_owned()]);
    let of_the_oldest = format!("{PREFIX}/{}", before[0]);
    assert!(world.keys().await.iter().all(|key| !key.starts_with(&of_the_oldest)), "something of it stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_a_backup_or_of_another_platform_is_left_alone() {
    let mut world = World::new();
    world.settings.backup.retention = 1;
    let theirs = ["team/acme/notes.txt", "team/acme-2/20200101T000000Z-00000000/manifest.json", "team/acme/old/x"];
    for key in theirs {
        let put = world.store.put_object().bucket(&world.settings.object_storage.bucket).key(key);
        put.send().await.unwrap();
    }
    // Left by a backup that did not end, long ago.
    let left = "team/acme/20200101T000000Z-00000000/chat/messages.bson.gz";
    world.store.put_object().bucket(&world.settings.object_storage.bucket).key(left).send().await.unwrap();
    let stop = CancellationToken::new();
    command::run(&world.settings, &Clock::system(), &stop).await.unwrap();
    let keys = world.keys().await;
    assert!(theirs.iter().all(|key| keys.iter().any(|there| there == key)), "{keys:?}");
    assert!(!keys.iter().any(|key| key == left), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_costs_no_backup() {
    let mut world = World::new();
    world.settings.backup.retention = 1;
    let stop = CancellationToken::new();
    command::run(&world.settings, &Clock::system(), &stop).await.unwrap();
    let before = names(&world).await;
    let nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500&replicaSet=rs0";
    world.settings.mongodb.uri_file = file(world.folder(), "nowhere", nowhere);
    let error = command::run(&world.settings, &Clock::system(), &stop).await.unwrap_err().to_string();
    assert!(error.contains("MongoDB did not"), "{error}");
    assert_eq!(names(&world).await, before);
}
