//! Migrations against a real database.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use contract::id::EventId;
use futures::{TryStreamExt as _, future::join_all};
use mongodb::{
    Client,
    bson::{DateTime, Document, doc},
};
use runtime::connect::Database;
use runtime::migrations::{self, Migration, MigrationError};
use tokio_util::sync::CancellationToken;

/// Steps that write down each time that they begin.
const STEPS: [Migration; 3] = [
    Migration { name: "first", run: |database| Box::pin(async move { begin(&database, "first").await }) },
    Migration { name: "second", run: |database| Box::pin(async move { begin(&database, "second").await }) },
    Migration { name: "third", run: |database| Box::pin(async move { begin(&database, "third").await }) },
];

/// One that fails as long as there is an obstacle.
const HINDERED: Migration = Migration {
    name: "hindered",
    run: |database| {
        Box::pin(async move {
            begin(&database, "hindered").await?;
            let obstacle = database.collection::<Document>("obstacles").now().find_one(doc! {}).await?;
            anyhow::ensure!(obstacle.is_none(), "something is in the way");
            Ok(())
        })
    },
};

/// One that comes to no end.
const ENDLESS: Migration = Migration {
    name: "endless",
    run: |database| {
        Box::pin(async move {
            begin(&database, "endless").await?;
            std::future::pending().await
        })
    },
};

async fn begin(database: &Database, name: &str) -> anyhow::Result<()> {
    database.collection::<Document>("begun").now().insert_one(doc! {"name": name}).await?;
    Ok(())
}

async fn begun(database: &Database) -> Vec<String> {
    let all = database.collection::<Document>("begun").now().find(doc! {}).sort(doc! {"_id": 1}).await.unwrap();
    let all: Vec<Document> = all.try_collect().await.unwrap();
    all.iter().map(|step| step.get_str("name").unwrap().to_owned()).collect()
}

async fn database() -> Database {
    let uri = tokio::task::spawn_blocking(|| servers::MongoDb::shared().uri()).await.unwrap();
    Client::with_uri_str(uri).await.unwrap().database(&format!("migrations_{}", EventId::generate())).into()
}

async fn run(database: &Database, steps: &[Migration]) -> Result<Vec<&'static str>, MigrationError> {
    migrations::run(database, steps, &CancellationToken::new()).await
}

async fn until_it_has_begun(database: &Database, name: &str) {
    let seen = async {
        while !begun(database).await.iter().any(|step| step == name) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_migration_is_taken_once_and_in_the_order_of_the_list() {
    let database = database().await;
    assert_eq!(run(&database, &STEPS[..2]).await.unwrap(), ["first", "second"]);
    assert_eq!(run(&database, &STEPS).await.unwrap(), ["third"]);
    assert_eq!(run(&database, &STEPS).await.unwrap(), [""; 0]);
    assert_eq!(begun(&database).await, ["first", "second", "third"]);
    let record =
        database.collection::<Document>("migrations").now().find_one(doc! {"_id": "third"}).await.unwrap().unwrap();
    assert!(record.get_datetime("takenAt").is_ok() && record.get_str("release").is_ok(), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_programs_at_once_one_takes_them_and_all_find_them_taken() {
    let database = database().await;
    let outcomes = join_all((0..10).map(|_| run(&database, &STEPS))).await;
    let taken: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(begun(&database).await, ["first", "second", "third"]);
    assert_eq!(taken.concat().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_failed_is_told_of_and_taken_up_again_where_it_stopped() {
    let database = database().await;
    let obstacles = database.collection::<Document>("obstacles");
    let obstacles = obstacles.now();
    obstacles.insert_one(doc! {}).await.unwrap();
    let steps = [STEPS[0], HINDERED, STEPS[1]];
    let error = run(&database, &steps).await.unwrap_err();
    assert_eq!(error.to_string(), "the migration \"hindered\" failed: something is in the way");

    obstacles.delete_many(doc! {}).await.unwrap();
    assert_eq!(run(&database, &steps).await.unwrap(), ["hindered", "second"]);
    assert_eq!(begun(&database).await, ["first", "hindered", "hindered", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_killed_is_followed_by_the_next_once_its_lease_is_over() {
    let database = database().await;
    let over = DateTime::from_millis(DateTime::now().timestamp_millis() + 2000);
    let left = doc! {"_id": "migrations", "holder": "one that was killed", "expiresAt": over};
    database.collection::<Document>("migrationLease").now().insert_one(left).await.unwrap();
    assert_eq!(run(&database, &STEPS[..1]).await.unwrap(), ["first"]);
    assert!(DateTime::now() >= over, "it did not wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_stop_leaves_the_lease_to_the_next_and_has_recorded_nothing() {
    let database = database().await;
    let stop = CancellationToken::new();
    let (worker, told) = (database.clone(), stop.clone());
    let working = tokio::spawn(async move { migrations::run(&worker, &[STEPS[0], ENDLESS], &told).await });
    until_it_has_begun(&database, "endless").await;
    stop.cancel();
    let error = working.await.unwrap().unwrap_err();
    assert!(matches!(error, MigrationError::Stopped), "{error}");

    let next = tokio::time::timeout(Duration::from_secs(10), run(&database, &STEPS)).await;
    assert_eq!(next.expect("the lease was kept").unwrap(), ["second", "third"]);
    let endless = database.collection::<Document>("migrations").now().find_one(doc! {"_id": "endless"}).await.unwrap();
    assert_eq!(endless, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_its_lease_to_another_goes_no_further() {
    let database = database().await;
    let worker = database.clone();
    let working = tokio::spawn(async move { run(&worker, &[ENDLESS]).await });
    until_it_has_begun(&database, "endless").await;
    let another = doc! {"$set": {"holder": "another"}};
    database.collection::<Document>("migrationLease").now().update_one(doc! {}, another).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(25), working).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, MigrationError::LeaseLost("endless")), "{error}");
    let lease = database.collection::<Document>("migrationLease").now().find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(lease.get_str("holder").unwrap(), "another", "it gave back what it did not have");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_release_that_was_left_has_recorded_is_in_nobodys_way() {
    let database = database().await;
    assert_eq!(run(&database, &STEPS).await.unwrap().len(), 3);
    assert_eq!(run(&database, &STEPS[..1]).await.unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_ready_once_its_database_has_been_through_them() {
    let database = database().await;
    let (work, progress) = migrations::at_start(database.clone(), &STEPS, CancellationToken::new());
    assert!(progress.check().is_err());
    let working = tokio::spawn(work);
    tokio::time::timeout(Duration::from_secs(20), progress.reached()).await.unwrap();
    assert_eq!(progress.check(), Ok(()));
    working.await.unwrap();
    assert_eq!(begun(&database).await, ["first", "second", "third"]);
}
