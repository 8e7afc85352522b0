use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{AuthMechanism, ClientOptions, Credential};
use mongodb::{Client, Database};
use operator::provision::Error;
use operator::provision::mongodb::{Target, provision};
use operator::secrets::{Login, Material};
use secrecy::{ExposeSecret, SecretString};
use servers::MongoDb;

use super::{login, material, nobody};

const UNAUTHORIZED: i32 = 13;

fn start(material: &Material) -> (MongoDb, Target) {
    let server = MongoDb::start_with_key_file(material.mongodb.key_file.expose_secret()).unwrap();
    let target = Target {
        replica_set: "rs0".to_owned(),
        members: vec![server.address()],
        key_file: material.mongodb.key_file.clone(),
        users: material.mongodb.users.clone(),
    };
    (server, target)
}

async fn client(server: &MongoDb, user: &str, password: &SecretString, source: &str) -> Client {
    let mut options = ClientOptions::parse(format!("mongodb://{}", server.address())).await.unwrap();
    options.direct_connection = Some(true);
    options.credential = Some(
        Credential::builder()
            .username(user.to_owned())
            .password(password.expose_secret().to_owned())
            .source(source.to_owned())
            .mechanism(AuthMechanism::ScramSha256)
            .build(),
    );
    Client::with_options(options).unwrap()
}

async fn write(database: &Database) -> mongodb::error::Result<()> {
    database.collection::<Document>("things").insert_one(doc! {"a": 1}).await.map(drop)
}

async fn enters(server: &MongoDb, login: &Login) -> bool {
    match client(server, &login.user, &login.password, "admin")
        .await
        .database("admin")
        .run_command(doc! {"ping": 1})
        .await
    {
        Ok(_) => true,
        Err(error) if matches!(*error.kind, ErrorKind::Authentication { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_member_becomes_a_set_whose_users_write_to_their_own_database_alone() {
    let material = material();
    let (server, target) = start(&material);

    let state = provision(&target).await.unwrap();
    assert!(state.ready, "{state:?}");
    assert_eq!(state.message, format!("1 of 1 members serve: {} PRIMARY", server.address()));
    assert!(state.version.unwrap().starts_with("6."));
    assert_eq!(state.changes[0], "initiated replica set rs0");

    for login in &target.users {
        let client = client(&server, &login.user, &login.password, "admin").await;
        write(&client.database(&login.user)).await.unwrap();
        for other in target.users.iter().map(|login| &login.user).filter(|user| **user != login.user) {
            let error = write(&client.database(other)).await.unwrap_err();
            assert!(matches!(&*error.kind, ErrorKind::Command(error) if error.code == UNAUTHORIZED), "{error}");
        }
    }

    let system = client(&server, "__system", &target.key_file, "local").await.database("admin");
    let config = system.run_command(doc! {"replSetGetConfig": 1}).await.unwrap();
    let settings = config.get_document("config").unwrap().get_document("settings").unwrap();
    assert_eq!(settings.get("electionTimeoutMillis").unwrap().to_string(), "2000");
    assert_eq!(settings.get("heartbeatIntervalMillis").unwrap().to_string(), "500");
    let defaults = system.run_command(doc! {"getDefaultRWConcern": 1}).await.unwrap();
    assert_eq!(defaults.get_document("defaultWriteConcern").unwrap().get_str("w").unwrap(), "majority");

    let again = provision(&target).await.unwrap();
    assert!(again.ready);
    assert_eq!(again.changes, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_by_hand_or_in_the_secrets_is_corrected() {
    let material = material();
    let (server, mut target) = start(&material);
    provision(&target).await.unwrap();
    let system = client(&server, "__system", &target.key_file, "local").await.database("admin");
    let revoke = doc! {"revokeRolesFromUser": "chat", "roles": [{"role": "dbAdmin", "db": "chat"}]};
    system.run_command(revoke).await.unwrap();
    system.run_command(doc! {"dropUser": "media"}).await.unwrap();

    let old = login(&target.users, "auth").clone();
    let fresh = super::material();
    target.users.iter_mut().find(|login| login.user == "auth").unwrap().password =
        login(&fresh.mongodb.users, "auth").password.clone();

    let state = provision(&target).await.unwrap();
    assert_eq!(state.changes, ["corrected user auth", "corrected user chat", "created user media"]);
    assert!(!enters(&server, &old).await);
    for login in &target.users {
        assert!(enters(&server, login).await, "{}", login.user);
    }
    assert_eq!(provision(&target).await.unwrap().changes, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_down_is_provisioned_when_it_is_back_and_its_data_stay() {
    let material = material();
    let (mut server, target) = start(&material);
    provision(&target).await.unwrap();
    let chat = login(&target.users, "chat");
    write(&client(&server, "chat", &chat.password, "admin").await.database("chat")).await.unwrap();

    server.kill();
    let error = provision(&target).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(error.category(), "MongoDBUnreachable");
    assert!(error.to_string().contains(&server.address()), "{error}");

    server.restart().unwrap();
    let state = provision(&target).await.unwrap();
    assert!(state.ready, "{state:?}");
    assert_eq!(state.changes, Vec::<String>::new());
    let database = client(&server, "chat", &chat.password, "admin").await.database("chat");
    assert_eq!(database.collection::<Document>("things").count_documents(doc! {}).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_file_is_refused_with_what_to_do() {
    let material = material();
    let (_server, mut target) = start(&material);
    target.key_file = super::material().mongodb.key_file;
    let error = provision(&target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBAccessDenied", "{error}");
    assert!(error.to_string().contains("restore those Secrets"), "{error}");
    assert!(!error.to_string().contains(target.key_file.expose_secret()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_of_another_name_is_left_alone() {
    let material = material();
    let (_server, mut target) = start(&material);
    provision(&target).await.unwrap();
    target.replica_set = "other".to_owned();
    let error = provision(&target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBConflict", "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_is_not_initiated_while_a_member_is_out_of_reach() {
    let material = material();
    let (server, mut target) = start(&material);
    target.members.push(nobody());
    let error = provision(&target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBUnreachable", "{error}");

    target.members.pop();
    let state = provision(&target).await.unwrap();
    assert!(state.ready && state.changes[0].starts_with("initiated"), "{state:?} at {}", server.address());
}
