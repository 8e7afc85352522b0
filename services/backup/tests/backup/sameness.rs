//! What is restored is what was backed up.

use std::collections::BTreeMap;

use backup::DATABASES;
use futures::TryStreamExt;
use mongodb::bson::{self, Bson, Document, Timestamp, doc, oid::ObjectId, spec::BinarySubtype};
use servers::MongoDb;

use crate::world::{World, client, content};

/// A value of every type that a document may hold.
fn every_type() -> Document {
    doc! {
        "_id": ObjectId::new(),
        "double": 1.5, "notANumber": f64::NAN, "text": "Grüße \u{0}\u{1F44B}", "empty": "",
        "document": {"nested": {"deeper": []}}, "array": [1, "two", [3.0]],
        "binary": bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 255, 7] },
        "uuid": bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![9; 16] },
        "true": true, "date": bson::DateTime::from_millis(-1), "null": Bson::Null,
        "regex": bson::Regex { pattern: "^a.*".try_into().unwrap(), options: "i".try_into().unwrap() },
        "int": 7, "long": 7_i64, "timestamp": Timestamp { time: 3, increment: 4 },
        "decimal": "1.10".parse::<bson::Decimal128>().unwrap(), "least": Bson::MinKey, "most": Bson::MaxKey,
    }
}

/// Indexes and options of every collection.
async fn descriptions(server: &MongoDb) -> BTreeMap<String, (Document, Vec<Document>)> {
    let client = client(server).await;
    let mut found = BTreeMap::new();
    for name in DATABASES {
        let database = client.database(name);
        let listed = database.run_cursor_command(doc! {"listCollections": 1}).await.unwrap();
        let listed: Vec<Document> = listed.try_collect().await.unwrap();
        for collection in listed {
            let collection_name = collection.get_str("name").unwrap().to_owned();
            let indexes = database.run_cursor_command(doc! {"listIndexes": &collection_name}).await.unwrap();
            let indexes: Vec<Document> = indexes.try_collect().await.unwrap();
            let options = collection.get_document("options").unwrap().clone();
            found.insert(format!("{name}.{collection_name}"), (options, indexes));
        }
    }
    found
}

async fn furnish(world: &World) {
    let (auth, chat, media) =
        (world.database("auth").await, world.database("chat").await, world.database("media").await);
    chat.run_command(doc! {
        "create": "strict", "collation": {"locale": "de", "strength": 2},
        "validator": {"size": {"$gte": 0}}, "validationLevel": "moderate",
    })
    .await
    .unwrap();
    chat.collection("strict").insert_one(doc! {"_id": "a", "size": 3}).await.unwrap();
    chat.collection("everything").insert_many([every_type(), every_type()]).await.unwrap();
    chat.run_command(doc! {"createIndexes": "conversations", "indexes": [
        {"key": {"members.userId": 1, "activityAt": -1}, "name": "members"},
        {"key": {"directKey": 1}, "name": "direct", "unique": true, "partialFilterExpression": {"directKey": {"$exists": true}}},
        {"key": {"expiresAt": 1}, "name": "ttl", "expireAfterSeconds": 86_400},
        {"key": {"title": "text"}, "name": "words"},
    ]})
    .await
    .unwrap();
    let conversations = ["mk-1", "mk-2", "mk-1"].iter().zip(0..);
    let conversations = conversations.map(|(key, id)| doc! {"_id": id, "directKey": id, "dataKey": {"keyId": *key}});
    chat.collection("conversations").insert_many(conversations).await.unwrap();
    let user = doc! {"_id": "ada", "secondStep": {"secret": {"keyId": "ak-1"}}};
    auth.collection("users").insert_many([user, doc! {"_id": "ben"}]).await.unwrap();
    media.create_collection("empty").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_indexes_and_options_are_the_same_bytes_in_the_new_set() {
    let (world, new) = (World::new(), MongoDb::start().unwrap());
    furnish(&world).await;
    let (name, manifest) = world.take().await.unwrap();
    world.restore(&name, &manifest, &new).await.unwrap();
    assert_eq!(content(&new).await, content(&world.source).await);
    assert_eq!(descriptions(&new).await, descriptions(&world.source).await);
    let count: usize = content(&new).await.values().map(Vec::len).sum();
    assert_eq!(manifest.documents(), count as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_tells_which_keys_are_needed_and_who_made_it_of_what() {
    let world = World::new();
    furnish(&world).await;
    let (name, manifest) = world.take().await.unwrap();
    let found = world.bucket.find("latest").await.unwrap();
    assert_eq!(found, (name.clone(), manifest.clone()));
    assert_eq!(world.bucket.find(&name.to_string()).await.unwrap(), found);
    let keys =
        [("account".to_owned(), vec!["ak-1".to_owned()]), ("message".to_owned(), vec!["mk-1".into(), "mk-2".into()])];
    assert_eq!(manifest.keys, keys.into());
    assert_eq!((manifest.platform.as_str(), manifest.server.as_str()), ("team/acme", "6.0.5"));
    let wanted = world.bucket.find("20000101T000000Z-00000000").await.unwrap_err().to_string();
    assert!(wanted.contains(&format!("There are: {name}")), "{wanted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_platform_of_which_nothing_is_stored_has_a_backup_too() {
    let (world, new) = (World::new(), MongoDb::start().unwrap());
    let (name, manifest) = world.take().await.unwrap();
    assert_eq!(manifest.documents(), 0);
    world.restore(&name, &manifest, &new).await.unwrap();
    assert_eq!(content(&new).await, BTreeMap::new());
}
