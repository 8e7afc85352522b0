use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, Credential};
use servers::MongoDb;

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_commits_and_a_change_stream_shows_it() {
    let client = Client::with_uri_str(MongoDb::shared().uri()).await.unwrap();
    let database = client.database(&format!("servers-{:x}", rand::random::<u64>()));
    let letters = database.collection::<Document>("letters");
    letters.insert_one(doc! {"_id": "a"}).await.unwrap();
    let mut changes = letters.watch().await.unwrap();

    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    letters.insert_one(doc! {"_id": "b"}).session(&mut session).await.unwrap();
    assert_eq!(letters.count_documents(doc! {}).await.unwrap(), 1);
    session.commit_transaction().await.unwrap();

    assert_eq!(letters.count_documents(doc! {}).await.unwrap(), 2);
    let change = futures::StreamExt::next(&mut changes).await.unwrap().unwrap();
    assert_eq!(change.full_document.unwrap(), doc! {"_id": "b"});
    database.drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_a_crash() {
    let mut server = MongoDb::start().unwrap();
    let client = Client::with_uri_str(server.uri()).await.unwrap();
    let letters = client.database("servers").collection::<Document>("letters");
    letters.insert_one(doc! {"_id": "a"}).await.unwrap();

    server.kill();
    server.restart().unwrap();

    assert_eq!(letters.find_one(doc! {}).await.unwrap(), Some(doc! {"_id": "a"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_file_only_who_has_the_key_can_initiate_the_set() {
    let server = MongoDb::start_with_key_file("c2VjcmV0c2VjcmV0c2VjcmV0").unwrap();
    let initiate = doc! {
        "replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": server.address()}]},
    };

    let stranger = client(&server, None).await;
    assert!(stranger.database("admin").run_command(initiate.clone()).await.is_err());

    let credential = Credential::builder()
        .username("__system".to_owned())
        .password("c2VjcmV0c2VjcmV0c2VjcmV0".to_owned())
        .source("local".to_owned())
        .build();
    let owner = client(&server, Some(credential)).await;
    owner.database("admin").run_command(initiate).await.unwrap();
}

async fn client(server: &MongoDb, credential: Option<Credential>) -> Client {
    let mut options =
        ClientOptions::parse(format!("mongodb://{}/?directConnection=true", server.address())).await.unwrap();
    options.credential = credential;
    Client::with_options(options).unwrap()
}
