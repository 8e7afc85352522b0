//! A backup is one moment of all databases, whatever is written meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use servers::MongoDb;
use tokio_util::sync::CancellationToken;

use crate::world::{World, bulk, client, until};

/// Between so many accounts in either database something is moved all the time.
const ACCOUNTS: i64 = 20;
const EACH: i64 = 1000;

fn accounts(client: &Client, database: &str) -> Collection<Document> {
    client.database(database).collection("accounts")
}

/// Moves one from an account in `auth` to one in `media`, and writes it down in `chat` and in `notification`, until it is told to stop.
async fn move_on(client: Client, done: Arc<AtomicI64>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let number = done.load(Ordering::SeqCst);
        let (from, to) = (doc! {"_id": number % ACCOUNTS}, doc! {"_id": (number * 7) % ACCOUNTS});
        let entry = doc! {"_id": number};
        let mut session = client.start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        for (database, account, by) in [("auth", from, -1_i64), ("media", to, 1)] {
            let accounts = accounts(&client, database);
            let change = accounts.update_one(account, doc! {"$inc": {"amount": by}});
            change.session(&mut session).await.unwrap();
        }
        for database in ["chat", "notification"] {
            let log = client.database(database).collection::<Document>("log");
            log.insert_one(&entry).session(&mut session).await.unwrap();
        }
        session.commit_transaction().await.unwrap();
        done.fetch_add(1, Ordering::SeqCst);
    }
}

async fn sum(client: &Client, database: &str) -> i64 {
    let total = doc! {"$group": {"_id": 1, "sum": {"$sum": "$amount"}}};
    let mut found = accounts(client, database).aggregate([total]).await.unwrap();
    assert!(found.advance().await.unwrap());
    found.deserialize_current().unwrap().get_i64("sum").unwrap()
}

async fn window(client: &Client) -> i32 {
    let command = doc! {"getParameter": 1, "minSnapshotHistoryWindowInSeconds": 1};
    client.database("admin").run_command(command).await.unwrap().get_i32("minSnapshotHistoryWindowInSeconds").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_concurrent_writes_is_one_moment_of_all_databases() {
    let (world, new) = (World::new(), MongoDb::start().unwrap());
    let old = client(&world.source).await;
    for database in ["auth", "media"] {
        let all = (0..ACCOUNTS).map(|id| doc! {"_id": id, "amount": EACH});
        accounts(&old, database).insert_many(all).await.unwrap();
    }
    for database in ["chat", "notification"] {
        old.database(database).create_collection("log").await.unwrap();
    }
    // It is read between the databases of which the sum must be right.
    for _ in 0..3 {
        let half: Vec<Document> = bulk(10_000)
            .into_iter()
            .map(|mut one| {
                one.remove("_id");
                one
            })
            .collect();
        old.database("chat").collection("bulk").insert_many(half).await.unwrap();
    }
    let (done, stop) = (Arc::new(AtomicI64::new(0)), CancellationToken::new());
    let moving = tokio::spawn(move_on(old.clone(), done.clone(), stop.clone()));
    until("something is moved", async || done.load(Ordering::SeqCst) > 20).await;

    let acknowledged = done.load(Ordering::SeqCst);
    let (name, manifest) = world.take().await.unwrap();
    let meanwhile = done.load(Ordering::SeqCst) - acknowledged;
    stop.cancel();
    moving.await.unwrap();
    assert!(meanwhile > 20, "only {meanwhile} were moved while the backup was made");
    assert_eq!(window(&old).await, 300, "the server keeps more than it has to");

    world.restore(&name, &manifest, &new).await.unwrap();
    let new = client(&new).await;
    let moved = new.database("chat").collection::<Document>("log").count_documents(doc! {}).await.unwrap();
    let told = new.database("notification").collection::<Document>("log").count_documents(doc! {}).await.unwrap();
    assert_eq!(moved, told, "half a transaction");
    let moved = i64::try_from(moved).unwrap();
    assert!(moved >= acknowledged, "{acknowledged} were acknowledged before, and {moved} are there");
    assert!(moved < acknowledged + meanwhile, "it is the end and not a moment: all {moved} are there");
    assert_eq!(sum(&new, "auth").await, ACCOUNTS * EACH - moved);
    assert_eq!(sum(&new, "media").await, ACCOUNTS * EACH + moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_backups_at_the_same_time_do_not_meet() {
    let world = World::new();
    world.database("chat").await.collection("messages").insert_many(bulk(2_000)).await.unwrap();
    let (one, other) = tokio::join!(world.take(), world.take());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.0, other.0);
    for (name, manifest) in [one, other] {
        assert_eq!(manifest.documents(), 2_000);
        backup::restore::check(&world.bucket, &name, &manifest, &CancellationToken::new()).await.unwrap();
    }
}
