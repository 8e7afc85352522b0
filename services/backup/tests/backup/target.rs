//! Where a backup may be restored, and what becomes of a restore that is cut off.

use backup::error::Error;
use mongodb::bson::{DateTime, doc};
use servers::MongoDb;
use tokio_util::sync::CancellationToken;

use crate::world::{World, bulk, client, content, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_has_data_is_refused_and_nothing_in_it_is_changed() {
    let (world, new) = (World::new(), MongoDb::start().unwrap());
    world.database("chat").await.collection("messages").insert_many(bulk(10)).await.unwrap();
    let (name, manifest) = world.take().await.unwrap();
    let there = client(&new).await.database("notification");
    there.collection("devices").insert_one(doc! {"_id": "somebody's"}).await.unwrap();
    let before = content(&new).await;
    let error = world.restore(&name, &manifest, &new).await.unwrap_err();
    assert!(matches!(&error, Error::NotEmpty { database, .. } if database == "notification"), "{error}");
    assert_eq!(content(&new).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_services_write_at_their_start_makes_way_unless_one_is_at_work() {
    let (world, new) = (World::new(), MongoDb::start().unwrap());
    world.database("chat").await.collection("messages").insert_many(bulk(10)).await.unwrap();
    let (name, manifest) = world.take().await.unwrap();
    let chat = client(&new).await.database("chat");
    chat.collection("migrations").insert_one(doc! {"_id": "a-step"}).await.unwrap();
    chat.create_collection("conversations").await.unwrap();
    let lease = |seconds: i64| {
        let until = DateTime::from_millis(DateTime::now().timestamp_millis() + 1000 * seconds);
        doc! {"$set": {"until": until, "holder": "a pod"}}
    };
    let leases = chat.collection::<mongodb::bson::Document>("outbox_leases");
    leases.update_one(doc! {"_id": "messages/0"}, lease(60)).upsert(true).await.unwrap();
    let error = world.restore(&name, &manifest, &new).await.unwrap_err();
    assert!(matches!(&error, Error::InUse { database } if database == "chat"), "{error}");

    leases.update_one(doc! {"_id": "messages/0"}, lease(-1)).await.unwrap();
    world.restore(&name, &manifest, &new).await.unwrap();
    assert_eq!(content(&new).await, content(&world.source).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_cut_off_begins_anew_and_one_that_ended_does_not() {
    let (world, new) = (World::new(), MongoDb::start().unwrap());
    for database in ["auth", "chat", "media"] {
        world.database(database).await.collection("things").insert_many(bulk(5_000)).await.unwrap();
    }
    let (name, manifest) = world.take().await.unwrap();
    let (stop, there) = (CancellationToken::new(), client(&new).await.database("auth"));
    let things = there.collection::<mongodb::bson::Document>("things");
    let (outcome, ()) = tokio::join!(world.restore_until(&name, &manifest, &new, &stop), async {
        until("something is written", async || things.estimated_document_count().await.unwrap() > 0).await;
        stop.cancel();
    });
    assert!(matches!(outcome, Err(Error::Stopped)), "{outcome:?}");
    assert_ne!(content(&new).await, content(&world.source).await);

    world.restore(&name, &manifest, &new).await.unwrap();
    assert_eq!(content(&new).await, content(&world.source).await);
    let again = world.restore(&name, &manifest, &new).await.unwrap_err();
    assert!(matches!(again, Error::NotEmpty { .. }), "{again}");
}
