use std::time::Duration;

use mongodb::Client;
use mongodb::bson::doc;
use mongodb::options::{ClientOptions, ServerAddress, Tls};
use operator::provision::mongodb::provision;
use servers::Authority;

use super::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_connection_is_refused() {
    let mut cluster = Cluster::start(1);
    cluster.provision().await;
    let mut options = ClientOptions::default();
    options.hosts = vec![ServerAddress::parse(cluster.address(0)).unwrap()];
    options.direct_connection = Some(true);
    options.server_selection_timeout = Some(Duration::from_secs(2));
    let ping = |options| async {
        Client::with_options(options).unwrap().database("admin").run_command(doc! {"ping": 1}).await
    };
    options.tls = Some(Tls::Disabled);
    assert!(ping(options).await.is_err());
    assert!(cluster.try_command(0, doc! {"ping": 1}).await.is_ok(), "it answers who speaks TLS");

    cluster.target.authority = None;
    let error = provision(&cluster.target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBUnreachable", "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_another_authority_vouches_for_is_not_believed() {
    let mut cluster = Cluster::start(1);
    cluster.target.authority = Some(Authority::new().unwrap().pem());
    let error = provision(&cluster.target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBUnreachable");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_shown_by_every_member_without_a_restart() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    let started = cluster.command(0, doc! {"serverStatus": 1}).await.get_i64("pid").unwrap();
    let renewed = cluster.authority.issue().unwrap();
    cluster.target.certificate = Some(renewed.certificate.clone());

    // A node takes its time to bring the file to a pod: the set serves on, and says what is to come.
    let state = provision(&cluster.target).await.unwrap();
    assert!(state.ready, "{state:?}");
    assert!(state.message.contains("waits for the renewed certificate to reach"), "{}", state.message);
    assert_eq!(state.changes, Vec::<String>::new());

    for member in &cluster.members {
        member.replace_certificate(&renewed).unwrap();
    }
    let state = provision(&cluster.target).await.unwrap();
    assert!(state.ready, "{state:?}");
    assert_eq!(state.changes.len(), 3, "{:?}", state.changes);
    assert!(
        state.changes.iter().all(|change| change.ends_with("shows its renewed certificate")),
        "{:?}",
        state.changes
    );

    let again = provision(&cluster.target).await.unwrap();
    assert_eq!(again.changes, Vec::<String>::new());
    assert!(!again.message.contains("certificate"), "{}", again.message);
    assert_eq!(cluster.command(0, doc! {"serverStatus": 1}).await.get_i64("pid").unwrap(), started);
    // Members still talk to each other, over connections opened since.
    cluster.members[1].restart().unwrap();
    cluster.provision().await;
    cluster.write("chat", 1).await.unwrap();
}
