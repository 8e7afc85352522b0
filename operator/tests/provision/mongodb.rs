//! Every member is a mongod of its own that speaks TLS alone, as in a cluster.

mod certificates;
mod cluster;
mod crashes;
mod external;
mod loss;
mod members;
mod upgrade;
mod users;
mod writer;

use mongodb::bson::doc;
use operator::provision::Error;
use operator::provision::mongodb::{Target, provision};
use secrecy::ExposeSecret as _;

use self::cluster::{Cluster, integer};
use super::{material, names, nobody};

#[test]
fn pods_that_run_beyond_the_members_of_a_platforms_set_are_asked_too_as_those_that_leave() {
    let material = material();
    let target = Target::new(&names(), 3, material.mongodb.own().unwrap(), &material);
    let of = |ordinal| format!("acme-mongodb-{ordinal}.acme-mongodb.chat.svc:27017");
    assert_eq!(target.members, [of(0)]);
    assert_eq!(target.leaving, [of(1), of(2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_member_becomes_a_set_that_is_left_alone_from_then_on() {
    let cluster = Cluster::start(1);
    let state = provision(&cluster.target).await.unwrap();
    assert!(state.ready, "{state:?}");
    assert_eq!(state.message, format!("1 of 1 members serve: {} PRIMARY", cluster.address(0)));
    assert!(state.version.unwrap().starts_with("6."));
    assert_eq!(state.changes[0], "initiated replica set rs0");

    let config = cluster.config().await;
    let settings = config.get_document("settings").unwrap();
    assert_eq!(integer(settings, "electionTimeoutMillis"), 2000);
    assert_eq!(integer(settings, "heartbeatIntervalMillis"), 500);
    let defaults = cluster.command(0, doc! {"getDefaultRWConcern": 1}).await;
    assert_eq!(defaults.get_document("defaultWriteConcern").unwrap().get_str("w").unwrap(), "majority");

    let again = provision(&cluster.target).await.unwrap();
    assert!(again.ready);
    assert_eq!(again.changes, Vec::<String>::new());
    assert_eq!(cluster.config().await, config);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_were_changed_by_hand_are_corrected() {
    let cluster = Cluster::start(1);
    cluster.provision().await;
    let mut config = cluster.config().await;
    let version = integer(&config, "version");
    config.insert("version", version + 1);
    config.get_document_mut("settings").unwrap().insert("electionTimeoutMillis", 10_000);
    cluster.command(0, doc! {"replSetReconfig": config}).await;

    let state = cluster.provision().await;
    assert_eq!(state.changes, ["corrected the settings of elections and members"]);
    let config = cluster.config().await;
    assert_eq!(integer(config.get_document("settings").unwrap(), "electionTimeoutMillis"), 2000);
    assert_eq!(integer(&config, "version"), version + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_down_is_provisioned_when_it_is_back_and_its_data_stay() {
    let mut cluster = Cluster::start(1);
    cluster.provision().await;
    cluster.write("chat", 1).await.unwrap();

    cluster.members[0].kill();
    let error = provision(&cluster.target).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(error.category(), "MongoDBUnreachable");
    assert!(error.to_string().contains(&cluster.address(0)), "{error}");

    cluster.members[0].restart().unwrap();
    let state = cluster.provision().await;
    assert_eq!(state.changes, Vec::<String>::new());
    assert_eq!(cluster.written("chat").await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_file_is_refused_with_what_to_do() {
    let mut cluster = Cluster::start(1);
    cluster.target.key_file = cluster::random().into();
    let error = provision(&cluster.target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBAccessDenied", "{error}");
    assert!(error.to_string().contains("restore those Secrets"), "{error}");
    assert!(!error.to_string().contains(cluster.target.key_file.expose_secret()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_of_another_name_is_left_alone() {
    let mut cluster = Cluster::start(1);
    cluster.provision().await;
    cluster.target.replica_set = "other".to_owned();
    let error = provision(&cluster.target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBConflict", "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_is_not_initiated_while_a_member_is_out_of_reach() {
    let mut cluster = Cluster::start(1);
    cluster.target.members.push(nobody());
    let error = provision(&cluster.target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBUnreachable", "{error}");

    cluster.target.members.pop();
    let state = provision(&cluster.target).await.unwrap();
    assert!(state.ready && state.changes[0].starts_with("initiated"), "{state:?}");
}
