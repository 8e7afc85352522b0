use mongodb::bson::doc;
use operator::provision::mongodb::external;
use operator::secrets::Connection;
use secrecy::ExposeSecret as _;
use servers::Authority;

use super::super::nobody;
use super::cluster::Cluster;

fn connection(cluster: &Cluster, password: &str, options: &str) -> Connection {
    let hosts = cluster.target.members.join(",");
    Connection {
        uri: format!("mongodb://chat:{password}@{hosts}/chat?replicaSet=rs0&authSource=admin{options}").into(),
        authority: Some(cluster.authority.pem()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_of_somebody_else_is_asked_and_not_touched() {
    let cluster = Cluster::start(3);
    cluster.provision().await;
    let users = || async {
        cluster.command(cluster.primary().await, doc! {"usersInfo": 1}).await.get_array("users").unwrap().clone()
    };
    let (config, before) = (cluster.config().await, users().await);
    let password = cluster.login("chat").password.expose_secret();
    // With the file that services have, which is none of ours, and without.
    for options in ["", "&tls=true", "&tls=true&tlsCAFile=/etc/chatplatform/secrets/ca.crt"] {
        let state = external(&connection(&cluster, password, options)).await.unwrap();
        assert!(state.ready, "{state:?}");
        let primary = cluster.address(cluster.primary().await);
        assert_eq!(state.message, format!("replica set rs0 of 3 members takes writes at {primary}"));
        assert!(state.version.unwrap().starts_with("6."));
        assert!(state.changes.is_empty() && state.members.is_empty());
    }
    assert_eq!(cluster.config().await, config);
    assert_eq!(users().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_connection_is_told_without_its_password() {
    let cluster = Cluster::start(1);
    cluster.provision().await;
    let password = cluster.login("chat").password.expose_secret().to_owned();

    let error = external(&connection(&cluster, "wrong-password", "")).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBAccessDenied", "{error}");
    assert!(error.is_final(), "{error}");
    assert!(
        error.to_string().contains("refuses user chat") && error.to_string().contains("Correct key uri"),
        "{error}"
    );
    assert!(!error.to_string().contains("wrong-password"), "{error}");

    let mut stranger = connection(&cluster, &password, "");
    stranger.authority = Some(Authority::new().unwrap().pem());
    let error = external(&stranger).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBUnreachable", "{error}");

    let nowhere = format!("mongodb://chat:{password}@{}/chat?replicaSet=rs0", nobody());
    let error = external(&Connection { uri: nowhere.into(), authority: None }).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBUnreachable", "{error}");

    for uri in [format!("mongodb://chat:{password}@"), format!("http://chat:{password}@host/"), password.clone()] {
        let error = external(&Connection { uri: uri.into(), authority: None }).await.unwrap_err();
        assert_eq!(error.category(), "MongoDBConflict", "{error}");
        assert!(!error.to_string().contains(&password), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_without_a_primary_is_not_ready() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    let connection = connection(&cluster, cluster.login("chat").password.expose_secret(), "");
    let primary = cluster.primary().await;
    for member in (0..3).filter(|member| *member != primary) {
        cluster.members[member].kill();
    }
    cluster.until_state(primary, "SECONDARY").await;
    let error = external(&connection).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBUnreachable", "{error}");
}
