//! Connections to real servers, and what becomes of them while a server is away.

#![allow(clippy::unwrap_used)]

use std::{io::Write, path::Path, time::Duration};

use aws_sdk_s3::primitives::ByteStream;
use redis::AsyncCommands;
use runtime::{
    config::{MongoDb, ObjectStorage, RabbitMq, Redis},
    connect,
};
use tempfile::NamedTempFile;

const SOON: Duration = Duration::from_mins(1);

fn file_with(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{content}").unwrap();
    file
}

/// Waits until `check` succeeds, for as long as a server takes to come back.
async fn until_ok<F: Future<Output = Result<(), String>>>(check: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + SOON;
    while let Err(reason) = check().await {
        assert!(tokio::time::Instant::now() < deadline, "still failing: {reason}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn mongodb_acknowledges_by_majority() {
    let file = file_with(&servers::MongoDb::shared().uri());
    let database = format!("connections_{}", contract::id::EventId::generate());
    let settings = MongoDb { uri_file: file.path().into(), database };
    let database = connect::mongodb(&settings).await.unwrap();
    connect::ping_mongodb(&database).await.unwrap();
    let database = database.now();
    let collection = database.collection::<mongodb::bson::Document>("things");
    collection.insert_one(mongodb::bson::doc! {"_id": 1}).await.unwrap();
    assert_eq!(collection.count_documents(mongodb::bson::doc! {}).await.unwrap(), 1);
    assert_eq!(
        database.write_concern().and_then(|concern| concern.w.clone()),
        Some(mongodb::options::Acknowledgment::Majority)
    );
    database.drop().await.unwrap();
}

#[tokio::test]
async fn redis_comes_back_by_itself_after_it_was_away() {
    let mut server = tokio::task::spawn_blocking(|| servers::Redis::start().unwrap()).await.unwrap();
    let file = file_with(&server.url());
    let connection = connect::redis(&Redis { url_file: file.path().into(), authority_file: None }).unwrap();
    connect::ping_redis(&connection).await.unwrap();
    server.kill();
    assert!(connect::ping_redis(&connection).await.is_err());
    let _server = tokio::task::spawn_blocking(move || server.restart().map(|()| server)).await.unwrap().unwrap();
    until_ok(|| connect::ping_redis(&connection)).await;
    let _: () = connection.clone().set("key", "value").await.unwrap();
}

#[tokio::test]
async fn redis_by_tls_is_trusted_by_the_authority_that_the_settings_name() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = servers::Authority::new().unwrap();
    let servers::Identity { certificate, key } = authority.issue().unwrap();
    let acl = "user default off\nuser test on >secret ~* &* +@all -@dangerous\n";
    let start = move || servers::Redis::start_with_tls(acl, &certificate, &key).unwrap();
    let server = tokio::task::spawn_blocking(start).await.unwrap();
    let url = file_with(&server.url_for("test", "secret").replace("redis://", "rediss://"));
    let authority = file_with(&authority.pem());
    let trusting = Redis { url_file: url.path().into(), authority_file: Some(authority.path().into()) };
    connect::ping_redis(&connect::redis(&trusting).unwrap()).await.unwrap();

    let distrusting = Redis { url_file: url.path().into(), authority_file: None };
    let refusal = connect::ping_redis(&connect::redis(&distrusting).unwrap()).await.unwrap_err();
    assert!(refusal.to_lowercase().contains("certificate"), "{refusal}");
}

#[tokio::test]
async fn a_service_may_start_before_its_servers() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let redis = file_with(&format!("redis://127.0.0.1:{port}/"));
    let connection = connect::redis(&Redis { url_file: redis.path().into(), authority_file: None }).unwrap();
    assert!(connect::ping_redis(&connection).await.is_err());
    let rabbitmq = file_with(&format!("amqp://a:b@127.0.0.1:{port}/%2f"));
    let connector = connect::rabbitmq(&RabbitMq { uri_file: rabbitmq.path().into() }, "test");
    assert!(connector.ping().await.is_err());
    let mongodb = file_with(&format!("mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=300"));
    let settings = MongoDb { uri_file: mongodb.path().into(), database: "test".into() };
    let database = connect::mongodb(&settings).await.unwrap();
    assert!(connect::ping_mongodb(&database).await.is_err());
}

#[tokio::test]
async fn the_broker_is_found_under_a_new_address_in_the_same_file() {
    let file = file_with("amqp://nobody:wrong@127.0.0.1:1/%2f");
    let connector = connect::rabbitmq(&RabbitMq { uri_file: file.path().into() }, "test");
    assert!(connector.ping().await.is_err());
    let uri = tokio::task::spawn_blocking(|| servers::RabbitMq::shared().virtual_host()).await.unwrap();
    std::fs::write(file.path(), uri).unwrap();
    connector.ping().await.unwrap();
    connector.close().await;
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_stored_and_by_range() {
    let server = tokio::task::spawn_blocking(servers::ObjectStorage::shared).await.unwrap();
    let (id, secret) = (file_with(server.access_key_id()), file_with(server.secret_access_key()));
    let settings = ObjectStorage {
        endpoint: server.endpoint(),
        region: server.region().to_owned(),
        bucket: server.bucket(),
        path_style: true,
        access_key_id_file: id.path().into(),
        secret_access_key_file: secret.path().into(),
    };
    let (client, bucket) = connect::object_storage(&settings).unwrap();
    client
        .put_object()
        .bucket(&bucket)
        .key("greeting")
        .body(ByteStream::from_static(b"hello world"))
        .send()
        .await
        .unwrap();
    let part = client.get_object().bucket(&bucket).key("greeting").range("bytes=6-").send().await.unwrap();
    assert_eq!(part.body.collect().await.unwrap().into_bytes().as_ref(), b"world");
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_named() {
    let settings = Redis { url_file: Path::new("/nowhere/redis-url").into(), authority_file: None };
    assert_eq!(connect::redis(&settings).err().unwrap().to_string(), "cannot read /nowhere/redis-url");
}
