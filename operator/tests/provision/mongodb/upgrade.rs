use mongodb::bson::doc;
use operator::provision::mongodb::provision;

use super::cluster::Cluster;

async fn compatibility(cluster: &Cluster) -> String {
    let primary = cluster.primary().await;
    let answer = cluster.command(primary, doc! {"getParameter": 1, "featureCompatibilityVersion": 1}).await;
    answer.get_document("featureCompatibilityVersion").unwrap().get_str("version").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feature_compatibility_version_is_raised_once_all_members_run_the_newer_server() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    assert_eq!(compatibility(&cluster).await, "6.0");
    // As after an upgrade from 5.0.
    cluster.command(cluster.primary().await, doc! {"setFeatureCompatibilityVersion": "5.0"}).await;

    let primary = cluster.primary().await;
    let down = (primary + 1) % 3;
    cluster.members[down].kill();
    let state = provision(&cluster.target).await.unwrap();
    assert!(!state.ready);
    let note = format!("waits for {} to answer, and to run 6.0, for feature compatibility", cluster.address(down));
    assert!(state.message.contains(&note), "{}", state.message);
    assert_eq!(compatibility(&cluster).await, "5.0");

    cluster.members[down].restart().unwrap();
    let state = cluster.provision().await;
    assert_eq!(state.changes, ["raised the feature compatibility version from 5.0 to 6.0"]);
    assert_eq!(compatibility(&cluster).await, "6.0");
    assert_eq!(provision(&cluster.target).await.unwrap().changes, Vec::<String>::new());
}
