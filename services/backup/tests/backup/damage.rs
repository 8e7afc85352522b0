//! A backup that is not as it was written is refused before anything is.

use std::collections::BTreeMap;

use backup::error::Error;
use backup::manifest::Manifest;
use backup::name::Name;
use servers::MongoDb;

use crate::world::{World, bulk, content};

const FILE: &str = "chat/messages.bson.gz";

/// What restoring it comes to, and that it comes to nothing else.
async fn refused(world: &World, name: &Name, manifest: &Manifest, new: &MongoDb) -> String {
    let error = world.restore(name, manifest, new).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_eq!(content(new).await, BTreeMap::new(), "something was written");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_altered_or_missing_file_is_refused_before_anything_is_written() {
    let (world, new) = (World::new(), MongoDb::start().unwrap());
    world.database("auth").await.collection("users").insert_many(bulk(10)).await.unwrap();
    world.database("chat").await.collection("messages").insert_many(bulk(1_000)).await.unwrap();
    let (name, manifest) = world.take().await.unwrap();
    let whole = world.read(&name, FILE).await;

    let truncated = whole[..whole.len() - 100].to_vec();
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    let mut longer = whole.clone();
    longer.extend_from_slice(&whole);
    for bytes in [Some(truncated), Some(altered), Some(longer), Some(Vec::new()), None] {
        world.write(&name, FILE, bytes).await;
        let said = refused(&world, &name, &manifest, &new).await;
        assert!(said.starts_with(FILE), "{said}");
    }
    // Of other documents in the right form, as of another backup, its digest alone tells.
    let other = world.read(&name, "auth/users.bson.gz").await;
    world.write(&name, FILE, Some(other)).await;
    refused(&world, &name, &manifest, &new).await;

    world.write(&name, FILE, Some(whole)).await;
    world.restore(&name, &manifest, &new).await.unwrap();
    assert_eq!(content(&new).await, content(&world.source).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_changed_is_refused() {
    let world = World::new();
    let (name, _) = world.take().await.unwrap();
    let text = String::from_utf8(world.read(&name, "manifest.json").await).unwrap();
    world.write(&name, "manifest.json", Some(text.replace("team/acme", "team/other").into_bytes())).await;
    let error = world.bucket.find("latest").await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_later_release_is_refused() {
    let (world, new) = (World::new(), MongoDb::start().unwrap());
    let (name, manifest) = world.take().await.unwrap();
    let later = Manifest { release: "99.0.0".to_owned(), ..manifest };
    let error = world.restore(&name, &later, &new).await.unwrap_err().to_string();
    assert!(error.contains("99.0.0") && error.contains("spec.version"), "{error}");
}
