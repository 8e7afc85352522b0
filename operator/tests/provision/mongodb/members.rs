use mongodb::bson::doc;
use operator::provision::State;
use operator::provision::mongodb::provision;
use operator::provisioner::Role;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::writer::Writer;

/// The set has these members and no others, all vote, and it serves.
async fn has_members(cluster: &Cluster, state: &State, members: usize) {
    let mut votes = cluster.votes().await;
    votes.sort_unstable();
    let mut wanted: Vec<_> = (0..members).map(|member| (cluster.address(member), true)).collect();
    wanted.sort_unstable();
    assert_eq!(votes, wanted);
    assert!(state.ready && state.message.starts_with(&format!("{members} of {members} members serve")), "{state:?}");
    assert_eq!(state.members.len(), members);
    assert_eq!(state.members.iter().filter(|member| member.role == Role::Primary).count(), 1);
    assert_eq!(state.members.iter().filter(|member| member.role == Role::Secondary).count(), members - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_one_member_to_three_to_five_to_three_no_acknowledged_write_is_lost() {
    let mut cluster = Cluster::start(1);
    cluster.provision().await;
    let writer = Writer::start(&cluster);
    writer.goes_on(20).await;

    for members in [3, 5] {
        let more = members - cluster.members.len();
        cluster.start_more(more);
        cluster.aim(members);
        let state = cluster.provision().await;
        has_members(&cluster, &state, members).await;
        let added = state.changes.iter().filter(|change| change.starts_with("added")).count();
        let gave = state.changes.iter().filter(|change| change.starts_with("gave")).count();
        assert_eq!((added, gave), (2, 2), "{:?}", state.changes);
        writer.goes_on(20).await;
    }

    cluster.aim(3);
    let state = cluster.provision().await;
    has_members(&cluster, &state, 3).await;
    writer.goes_on(20).await;
    // Their pods go only now that nobody counts on them.
    for member in cluster.members.drain(3..) {
        drop(member);
    }
    writer.goes_on(20).await;
    let state = cluster.provision().await;
    assert_eq!(state.changes, Vec::<String>::new());
    writer.check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_gets_its_vote_only_when_it_has_the_data() {
    let mut cluster = Cluster::start(1);
    cluster.provision().await;
    cluster.write("chat", 1).await.unwrap();
    cluster.start_more(2);
    cluster.aim(3);
    let hang = |mode: &str| doc! {"configureFailPoint": "initialSyncHangBeforeFinish", "mode": mode};
    cluster.command(2, hang("alwaysOn")).await;

    // The other one is there long before it; that it waits too is because two voters would be worse than one.
    let state = provision(&cluster.target).await.unwrap();
    assert!(!state.ready);
    assert!(state.message.contains(&format!("{} STARTUP2 (no vote)", cluster.address(2))), "{}", state.message);
    assert!(state.message.contains(&format!("{} SECONDARY (no vote)", cluster.address(1))), "{}", state.message);
    assert!(state.message.contains(&format!("waits for {} to catch up", cluster.address(2))), "{}", state.message);
    assert_eq!(cluster.votes().await.iter().filter(|(_, votes)| *votes).count(), 1);
    assert_eq!(
        state.members.iter().map(|member| member.role).collect::<Vec<_>>(),
        [Role::Primary, Role::Other, Role::Other]
    );
    cluster.write("chat", 2).await.unwrap();

    cluster.command(2, hang("off")).await;
    let state = cluster.provision().await;
    has_members(&cluster, &state, 3).await;
    assert_eq!(cluster.written("chat").await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_shall_leave_hands_over_first() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    let writer = Writer::start(&cluster);
    writer.goes_on(20).await;
    let primary = cluster.primary().await;
    let others: Vec<usize> = (0..3).filter(|member| *member != primary).collect();
    let [stays, leaves, primary] = [others[0], others[1], primary].map(|member| cluster.address(member));
    cluster.target.members = vec![stays.clone()];
    cluster.target.leaving = vec![leaves.clone(), primary.clone()];

    let state = cluster.provision().await;
    assert_eq!(
        state.changes,
        [
            format!("removed member {leaves}"),
            format!("{primary} stepped down, {stays} is primary"),
            format!("removed member {primary}"),
        ]
    );
    assert_eq!(cluster.votes().await, [(stays, true)]);
    writer.goes_on(20).await;
    writer.check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_restart_in_the_order_of_a_roll_out_cost_writers_one_short_pause() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    let writer = Writer::start(&cluster);
    writer.goes_on(20).await;
    let primary = cluster.primary().await;
    for member in (0..3).rev().filter(|member| *member != primary).chain([primary]) {
        if member == primary {
            cluster.target.step_down = Some(cluster.address(primary));
            cluster.provision().await;
            cluster.target.step_down = None;
        }
        let stopping = Instant::now();
        cluster.members[member].stop().unwrap();
        eprintln!("a member stops within {:.1} s", stopping.elapsed().as_secs_f32());
        cluster.members[member].restart().unwrap();
        cluster.provision().await;
    }
    writer.goes_on(20).await;
    let record = writer.check(&cluster).await;
    assert_eq!(record.failed, 0, "the driver tries again by itself");
    assert!(record.pause.as_secs() < 10, "{:?}", record.pause);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_down_moves_the_primary_and_is_done_once() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    let writer = Writer::start(&cluster);
    writer.goes_on(20).await;
    let former = cluster.primary().await;
    cluster.target.step_down = Some(cluster.address(former));

    let state = provision(&cluster.target).await.unwrap();
    let now = cluster.primary().await;
    assert_ne!(now, former);
    assert_eq!(
        state.changes,
        [format!("{} stepped down, {} is primary", cluster.address(former), cluster.address(now))]
    );
    let primary = state.members.iter().find(|member| member.role == Role::Primary).unwrap();
    assert_eq!(primary.pod, cluster.address(now));

    let state = provision(&cluster.target).await.unwrap();
    assert_eq!(state.changes, Vec::<String>::new(), "it is primary no more");
    writer.goes_on(20).await;
    let record = writer.check(&cluster).await;
    assert!(record.pause.as_secs() < 10, "{:?}", record.pause);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_leaves_while_a_member_that_stays_is_down() {
    let mut cluster = Cluster::start(5);
    cluster.provision().await;
    let down = if cluster.primary().await == 1 { 2 } else { 1 };
    cluster.members[down].kill();
    cluster.aim(3);
    let state = provision(&cluster.target).await.unwrap();
    assert!(!state.ready);
    assert!(
        state.message.contains(&format!("waits for {} to catch up before", cluster.address(down))),
        "{}",
        state.message
    );
    assert_eq!(cluster.votes().await.len(), 5);

    cluster.members[down].restart().unwrap();
    let state = cluster.provision().await;
    has_members(&cluster, &state, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_down_and_shall_leave_is_in_nobody_s_way() {
    let mut cluster = Cluster::start(3);
    cluster.provision().await;
    // One pod is lost for good, and one of another name takes its place.
    let lost = if cluster.primary().await == 1 { 2 } else { 1 };
    cluster.members[lost].kill();
    cluster.start_more(1);
    let stays = [0, 3 - lost, 3].map(|member| cluster.address(member));
    cluster.target.members = stays.to_vec();
    let state = cluster.provision().await;
    assert!(state.changes.contains(&format!("removed member {}", cluster.address(lost))), "{:?}", state.changes);
    let mut votes = cluster.votes().await;
    votes.sort_unstable();
    let mut wanted = stays.map(|host| (host, true));
    wanted.sort_unstable();
    assert_eq!(votes, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_member_that_does_not_answer_keeps_nobody_from_serving() {
    let mut cluster = Cluster::start(1);
    cluster.provision().await;
    cluster.start_more(1);
    cluster.aim(2);
    let nobody = super::nobody();
    cluster.target.members.push(nobody.clone());
    let state = provision(&cluster.target).await.unwrap();
    assert!(!state.ready);
    assert!(state.message.contains(&format!("{nobody} no member yet")), "{}", state.message);
    assert!(state.message.contains(&format!("waits for {nobody} to answer, so that it can join")), "{}", state.message);
    assert_eq!(cluster.votes().await, [(cluster.address(0), true), (cluster.address(1), false)]);
    cluster.write("chat", 1).await.unwrap();
}
