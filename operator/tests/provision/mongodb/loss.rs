use mongodb::bson::doc;
use operator::provision::mongodb::provision;
use operator::provisioner::Role;

use super::cluster::Cluster;
use super::writer::Writer;

/// What makes a set this set and no other.
async fn identity(cluster: &Cluster) -> mongodb::bson::oid::ObjectId {
    let config = cluster.config().await;
    config.get_document("settings").unwrap().get_object_id("replicaSetId").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_volume_comes_back_by_itself_even_the_first_one() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    let before = identity(&cluster).await;
    let writer = Writer::start(&cluster);
    writer.goes_on(20).await;
    for member in [0, 2] {
        cluster.members[member].kill();
        // Those that are left have a primary before the empty one is back, as when a pod has to be made anew: it could vote for one
        // that has not seen the last writes.
        writer.goes_on(20).await;
        cluster.members[member].wipe().unwrap();
        cluster.members[member].restart().unwrap();
        let state = cluster.provision().await;
        assert!(state.changes.iter().all(|change| !change.starts_with("initiated")), "{:?}", state.changes);
        assert_eq!(identity(&cluster).await, before);
        writer.goes_on(20).await;
    }
    writer.check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_is_not_made_anew_of_an_empty_member_while_another_may_have_the_data() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    // A majority would not be enough: two of three members are all that is left of it.
    cluster.write_to_members("chat", 1, 3).await;
    let before = identity(&cluster).await;
    // All are down, the first has lost its volume and is the first to be back, and the set is to shrink to it.
    for member in &mut cluster.members {
        member.kill();
    }
    cluster.members[0].wipe().unwrap();
    cluster.members[0].restart().unwrap();
    cluster.aim(1);
    let error = provision(&cluster.target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBUnreachable", "{error}");

    for member in [1, 2] {
        cluster.members[member].restart().unwrap();
    }
    let state = cluster.provision().await;
    assert!(state.changes.iter().all(|change| !change.starts_with("initiated")), "{:?}", state.changes);
    assert_eq!(identity(&cluster).await, before);
    assert_eq!(cluster.votes().await, [(cluster.address(0), true)]);
    assert_eq!(cluster.written("chat").await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_has_had_data_is_not_made_anew_of_empty_members() {
    let mut cluster = Cluster::start(1);
    cluster.provision().await;
    cluster.target.established = true;
    assert!(provision(&cluster.target).await.unwrap().ready);
    cluster.members[0].kill();
    cluster.members[0].wipe().unwrap();
    cluster.members[0].restart().unwrap();
    let error = provision(&cluster.target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBConflict", "{error}");
    assert!(error.to_string().contains("all volumes are lost"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_loses_its_primary_and_says_who_is_down_while_it_serves_on() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    let writer = Writer::start(&cluster);
    writer.goes_on(20).await;
    let lost = cluster.primary().await;
    cluster.members[lost].kill();
    writer.goes_on(20).await;

    let state = provision(&cluster.target).await.unwrap();
    assert!(!state.ready);
    assert!(state.message.starts_with("2 of 3 members serve"), "{}", state.message);
    assert!(state.message.contains(&format!("{} (not reachable/healthy)", cluster.address(lost))), "{}", state.message);
    let down = state.members.iter().find(|member| member.pod == cluster.address(lost)).unwrap();
    assert_eq!((down.role, down.caught_up), (Role::Other, false));
    assert_eq!(state.changes, Vec::<String>::new());

    cluster.members[lost].restart().unwrap();
    cluster.provision().await;
    writer.check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_whose_members_were_all_killed_at_once_is_back_with_what_it_had() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    let writer = Writer::start(&cluster);
    writer.goes_on(20).await;
    for member in &mut cluster.members {
        member.kill();
    }
    let error = provision(&cluster.target).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBUnreachable", "{error}");
    for member in &mut cluster.members {
        member.restart().unwrap();
    }
    let state = cluster.provision().await;
    assert_eq!(state.changes, Vec::<String>::new());
    writer.goes_on(20).await;
    writer.check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_member_that_comes_back_is_taken_in_again() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    cluster.write("chat", 1).await.unwrap();
    cluster.aim(1);
    cluster.provision().await;
    cluster.write("chat", 2).await.unwrap();
    let removed = cluster.try_command(2, doc! {"replSetGetStatus": 1}).await.unwrap_err();
    assert!(removed.to_string().contains("not a member"), "{removed}");

    // By itself it is no set, and none is made of it.
    let mut stray = cluster.target.clone();
    (stray.members, stray.leaving) = (vec![cluster.address(2)], Vec::new());
    let error = provision(&stray).await.unwrap_err();
    assert_eq!(error.category(), "MongoDBConflict", "{error}");

    cluster.aim(3);
    let state = cluster.provision().await;
    assert_eq!(state.members.len(), 3);
    assert_eq!(cluster.written("chat").await, [1, 2]);
}
