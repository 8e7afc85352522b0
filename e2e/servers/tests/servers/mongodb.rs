use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, Credential, TlsOptions};
use servers::{Authority, MongoDb};

const KEY: &str = "c2VjcmV0c2VjcmV0c2VjcmV0";

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
    let server = MongoDb::start_with_key_file(KEY).unwrap();
    let initiate = doc! {
        "replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": server.address()}]},
    };

    let stranger = client(&server, None).await;
    assert!(stranger.database("admin").run_command(initiate.clone()).await.is_err());

    let credential = Credential::builder()
        .username("__system".to_owned())
        .password(KEY.to_owned())
        .source("local".to_owned())
        .build();
    let owner = client(&server, Some(credential)).await;
    owner.database("admin").run_command(initiate).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_speaks_tls_alone_and_knows_nothing_after_its_data_are_wiped() {
    let authority = Authority::new().unwrap();
    let mut server = MongoDb::start_member(KEY, &authority).unwrap();
    let trusted = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&trusted, authority.pem()).unwrap();
    let mut options =
        ClientOptions::parse(format!("mongodb://{}/?directConnection=true", server.address())).await.unwrap();
    options.server_selection_timeout = Some(std::time::Duration::from_secs(5));
    options.credential = Some(
        Credential::builder()
            .username("__system".to_owned())
            .password(KEY.to_owned())
            .source("local".to_owned())
            .build(),
    );
    let plain = Client::with_options(options.clone()).unwrap();
    assert!(plain.database("admin").run_command(doc! {"ping": 1}).await.is_err());

    options.tls = Some(TlsOptions::builder().ca_file_path(trusted.path().to_owned()).build().into());
    let admin = Client::with_options(options).unwrap().database("admin");
    let initiate = doc! {"replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": server.address()}]}};
    admin.run_command(initiate).await.unwrap();
    assert!(admin.run_command(doc! {"replSetGetConfig": 1}).await.is_ok());

    server.kill();
    server.wipe().unwrap();
    server.restart().unwrap();
    let error = admin.run_command(doc! {"replSetGetConfig": 1}).await.unwrap_err();
    assert!(error.to_string().contains("NotYetInitialized"), "{error}");
}

async fn client(server: &MongoDb, credential: Option<Credential>) -> Client {
    let mut options =
        ClientOptions::parse(format!("mongodb://{}/?directConnection=true", server.address())).await.unwrap();
    options.credential = credential;
    Client::with_options(options).unwrap()
}
