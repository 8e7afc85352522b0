//! A run that ends after any of its steps, as by a crash: the next one goes on.

use std::time::Duration;

use operator::provision::mongodb::{provision, provision_by};
use tokio::time::Instant;

use super::cluster::{Cluster, SERVICES, integer};

const LIMIT: Duration = Duration::from_mins(2);

/// Runs `provision` one step at a time until the set agrees; tells how many runs did something.
async fn one_step_at_a_time(cluster: &Cluster) -> usize {
    let mut steps = 0;
    let deadline = Instant::now() + LIMIT;
    let mut votes: Option<Vec<(String, bool)>> = None;
    loop {
        let state = provision_by(&cluster.target, 1).await.unwrap();
        assert!(state.changes.len() <= 1, "{:?}", state.changes);
        steps += state.changes.len();
        let now = cluster.votes().await;
        if let Some(before) = votes.replace(now.clone()) {
            let changed = before.iter().filter(|member| member.1 && !now.contains(member)).count()
                + now.iter().filter(|member| member.1 && !before.contains(member)).count();
            assert!(changed <= 1, "more than one vote changed at once: {before:?} to {now:?}");
        }
        if state.ready {
            return steps;
        }
        assert!(Instant::now() < deadline, "{}", state.message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_is_made_grown_and_shrunk_by_runs_that_each_end_after_one_step() {
    let mut cluster = Cluster::start(1);
    // Initiated, write concern, four users.
    assert_eq!(one_step_at_a_time(&cluster).await, 6);
    cluster.write("chat", 1).await.unwrap();
    let set = |config: mongodb::bson::Document| {
        config.get_document("settings").unwrap().get_object_id("replicaSetId").unwrap()
    };
    let identity = set(cluster.config().await);

    cluster.start_more(2);
    cluster.aim(3);
    // Two join, two get their votes.
    assert_eq!(one_step_at_a_time(&cluster).await, 4);

    cluster.aim(1);
    let handed_over = usize::from(cluster.primary().await != 0);
    assert_eq!(one_step_at_a_time(&cluster).await, 2 + handed_over);
    assert_eq!(set(cluster.config().await), identity);
    assert_eq!(cluster.written("chat").await, [1]);
    let config = cluster.config().await;
    assert_eq!(config.get_array("members").unwrap().len(), 1);
    assert!(integer(&config, "version") >= 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_new_members_become_one_set_by_runs_that_are_cut_off_at_any_moment() {
    let cluster = Cluster::start(3);
    let deadline = Instant::now() + LIMIT;
    // Each run is given a little longer than the one before, so that each of its moments is the last one of some run.
    for patience in 1.. {
        let run = provision(&cluster.target);
        match tokio::time::timeout(Duration::from_millis(20 * patience), run).await {
            Ok(Ok(state)) if state.ready => break,
            _ => assert!(Instant::now() < deadline, "the set does not come to be"),
        }
    }
    let votes = cluster.votes().await;
    assert_eq!(votes.len(), 3);
    assert!(votes.iter().all(|(_, votes)| *votes));
    for user in SERVICES {
        cluster.write(user, 1).await.unwrap();
    }
    assert_eq!(cluster.provision().await.changes, Vec::<String>::new());
}
