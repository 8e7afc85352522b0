//! Rotations one by one, each with what people are told.

#![allow(clippy::unwrap_used)]

use super::kind::SKEW;
use super::model::{Cluster, Happening, TOKEN, after, plan, start};
use super::*;

#[test]
fn nothing_happens_until_a_generation_is_due_or_somebody_asks() {
    let mut cluster = Cluster::new(Kind::SigningKeys, plan(0));
    let due = cluster.plan.due(cluster.kind, &cluster.state);
    assert_eq!(cluster.decide(), Decision::Rest(due));
    cluster.time = due.duration_since(start()).as_secs() - 1;
    assert_eq!(cluster.decide(), Decision::Rest(due));
    cluster.time += 1;
    assert_eq!(cluster.decide(), Decision::Move(Move::Add));
    cluster.time = 0;
    cluster.plan.revision = 1;
    assert_eq!(cluster.decide(), Decision::Move(Move::Add));
}

#[test]
fn a_revision_that_comes_during_a_rotation_is_another_one_after_it() {
    let mut cluster = Cluster::new(Kind::MessageKeys, plan(1));
    cluster.acts();
    cluster.plan.revision = 2;
    cluster.settle();
    assert_eq!((cluster.state.generation, cluster.state.revision), (3, 2));
}

#[test]
fn a_pod_that_does_not_follow_stops_the_rotation_and_is_named_after_ten_minutes() {
    let mut cluster = Cluster::new(Kind::SigningKeys, plan(1));
    cluster.acts();
    let slow = cluster.pods.iter().position(|pod| pod.name == "media-1").unwrap();
    for (number, pod) in cluster.pods.iter_mut().enumerate() {
        if number != slow {
            pod.ring = cluster.ring.clone();
        }
    }
    let told = |cluster: &Cluster| {
        let decision = cluster.decide();
        let state = cluster.state.clone();
        let progress = Progress { kind: cluster.kind, due: start(), state, decision };
        (progress.message().unwrap(), progress.trouble())
    };
    assert_eq!(told(&cluster), ("pod media-1 does not accept the new generation yet".into(), None));
    cluster.time = 599;
    assert_eq!(told(&cluster).1, None);
    cluster.time = 600;
    let trouble = told(&cluster).1.unwrap();
    assert!(trouble.contains("signingKeys is stuck at Spread") && trouble.contains("pod media-1"), "{trouble}");
    cluster.pods[slow].answers = false;
    assert_eq!(told(&cluster).0, "pod media-1 cannot be asked: no answer within 5 s");
    // As after a hibernation: it has only just been made.
    cluster.pods[slow].born = after(500);
    assert_eq!(told(&cluster).1, None);
    cluster.pods.retain(|pod| pod.component != crate::build::Component::Media);
    assert_eq!(told(&cluster).0, "no pod of media is there to be asked");
}

#[test]
fn an_old_signing_key_waits_for_the_last_token_and_the_time_is_told() {
    let mut cluster = Cluster::new(Kind::SigningKeys, plan(1));
    while cluster.state.word() != "Retire" {
        cluster.acts();
        let ring = cluster.ring.clone();
        cluster.pods.iter_mut().for_each(|pod| pod.ring = ring.clone());
        cluster.time += 40;
    }
    let since = cluster.state.step.as_ref().unwrap().since;
    let Decision::Wait(Waiting { lags, until: Some(until), is_stuck }) = cluster.decide() else { panic!() };
    assert_eq!((lags, is_stuck), (vec![], false));
    assert_eq!(until.duration_since(since), SignedDuration::from_secs(TOKEN) + SKEW);
}

#[test]
fn message_keys_are_retired_by_a_count_that_began_after_everybody_used_the_new_one() {
    let mut cluster = Cluster::new(Kind::MessageKeys, plan(1));
    cluster.made.push(("mk-1".into(), i64::MAX / 2));
    let read = |cluster: &mut Cluster| {
        let ring = cluster.ring.clone();
        cluster.pods.iter_mut().for_each(|pod| pod.ring = ring.clone());
    };
    while cluster.state.word() != "Retire" {
        cluster.acts();
        read(&mut cluster);
    }
    let said = |cluster: &Cluster| match cluster.decide() {
        Decision::Wait(Waiting { lags, .. }) => lags.into_iter().map(|lag| lag.words).collect::<Vec<_>>().join("; "),
        other => format!("{other:?}"),
    };
    assert!(said(&cluster).contains("pod chat-0 has not counted yet"), "{}", said(&cluster));
    for number in [0, 1] {
        cluster.happens(Happening::Counts(number));
    }
    // All of it is wrapped by the new one, and yet somebody may have been in the middle of wrapping one more by the old.
    assert!(said(&cluster).contains("pod chat-0 is to count once more"), "{}", said(&cluster));
    cluster.time += 30;
    let counted = (cluster.time, "mk-2".to_owned(), [("mk-1".to_owned(), 3)].into());
    cluster.pods[0].counted = Some(counted);
    cluster.happens(Happening::Counts(1));
    assert_eq!(said(&cluster), "pod chat-0 counts 3 under mk-1");
    cluster.happens(Happening::Counts(0));
    assert_eq!(cluster.decide(), Decision::Move(Move::Retire));
}

#[test]
fn a_revocation_leaves_the_new_generation_alone_at_once_and_is_done_when_nobody_accepts_another() {
    let mut cluster = Cluster::new(Kind::SigningKeys, Plan { revoke: true, ..plan(1) });
    cluster.acts();
    assert_eq!((cluster.taken.as_slice(), cluster.ring.ids()), (&[Move::Revoke][..], vec!["mk-2"]));
    assert_eq!((cluster.state.generation, cluster.state.revision, cluster.state.word()), (2, 1, "Refuse"));
    let Decision::Wait(Waiting { lags, .. }) = cluster.decide() else { panic!() };
    assert!(lags.iter().any(|lag| lag.words == "pod gateway-0 still accepts the old generation"), "{lags:?}");
    cluster.settle();
    // It is done once for each revision.
    assert_eq!(cluster.taken, [Move::Revoke, Move::Done]);
}

#[test]
fn what_sleeps_waits_and_a_rotation_is_not_begun_in_the_middle_of_an_upgrade() {
    let cluster = Cluster::new(Kind::MessageKeys, plan(1));
    let decide = |circumstances| cluster.decide_under(circumstances);
    let (asleep, upgrading) = (
        Circumstances { is_asleep: true, ..Circumstances::default() },
        Circumstances { is_upgrading: true, ..Circumstances::default() },
    );
    assert!(matches!(decide(asleep), Decision::Hold(why) if why.contains("spec.hibernated")));
    assert!(matches!(decide(upgrading), Decision::Hold(why) if why.contains("upgrade")));
    assert_eq!(decide(Circumstances::default()), Decision::Move(Move::Add));
}

#[test]
fn keys_that_another_platform_has_left_are_taken_up_as_they_are() {
    let before = State { revision: 5, generation: 4, ..State::adopted(None, "u-1", &plan(0), start()) };
    let state = State::adopted(Some(before.clone()), "u-2", &plan(2), start());
    assert_eq!((state.revision, state.generation, state.platform.as_str()), (2, 4, "u-2"));
    assert_eq!(State::adopted(Some(before.clone()), "u-1", &plan(2), start()), before);
}

#[test]
fn a_ring_that_somebody_has_put_back_in_the_middle_begins_again() {
    let mut cluster = Cluster::new(Kind::SigningKeys, plan(1));
    let old = cluster.ring.clone();
    cluster.acts();
    cluster.ring = old;
    assert_eq!(cluster.decide(), Decision::Move(Move::Add));
    cluster.settle();
}

#[test]
fn credentials_are_used_once_every_server_accepts_them_and_refused_once_no_connection_uses_them() {
    let mut cluster = Cluster::new(Kind::Credentials, plan(1));
    let said = |cluster: &Cluster| match cluster.decide() {
        Decision::Wait(Waiting { lags, .. }) => lags.into_iter().map(|lag| lag.words).collect::<Vec<_>>().join("; "),
        other => format!("{other:?}"),
    };
    cluster.acts();
    // A leader that has only just come knows nothing of the servers.
    assert_eq!(
        said(&cluster),
        "mongodb has not been made to agree yet; redis has not been made to agree yet; \
         rabbitmq has not been made to agree yet"
    );
    cluster.servers.iter_mut().for_each(|server| server.is_known = true);
    cluster.happens(Happening::Agrees(0));
    cluster.happens(Happening::Agrees(2));
    assert_eq!(said(&cluster), "redis does not accept the new generation yet");
    cluster.happens(Happening::Agrees(1));
    for word in ["Switch", "Prove"] {
        cluster.acts();
        assert_eq!(cluster.state.word(), word);
    }
    // The services' own Secrets name it by now.
    assert_eq!((cluster.ring.current(), cluster.ring.ids()), ("mk-2", vec!["mk-1", "mk-2"]));
    for number in 0..cluster.pods.len() {
        if cluster.pods[number].name != "media-1" {
            cluster.happens(Happening::Reads(u8::try_from(number).unwrap()));
            cluster.happens(Happening::Counts(u8::try_from(number).unwrap()));
        }
    }
    let of_both = |words: &str| {
        ["mongodb", "rabbitmq"]
            .map(|server| format!("pod media-1 still {words} {server} by the old generation"))
            .join("; ")
    };
    assert_eq!(said(&cluster), of_both("logs in to"));
    let slow = u8::try_from(cluster.pods.iter().position(|pod| pod.name == "media-1").unwrap()).unwrap();
    cluster.happens(Happening::Reads(slow));
    assert_eq!(said(&cluster), of_both("has a connection to"));
    cluster.happens(Happening::Counts(slow));
    for word in ["Retire", "Refuse"] {
        cluster.acts();
        assert_eq!(cluster.state.word(), word);
    }
    assert!(said(&cluster).starts_with("mongodb still accepts the old generation; redis still"), "{}", said(&cluster));
    for number in 0..3 {
        cluster.happens(Happening::Agrees(number));
    }
    assert_eq!(cluster.decide(), Decision::Move(Move::Done));
}

#[test]
fn a_pod_of_an_older_release_keeps_credentials_from_being_used_and_servers_of_others_are_left_alone() {
    let mut cluster = Cluster::new(Kind::Credentials, plan(1));
    cluster.acts();
    (0..3).for_each(|number| cluster.happens(Happening::Agrees(number)));
    let lags = |pods: &[Testimony], servers: &[Acceptance]| {
        let evidence = Evidence::of(cluster.kind, Heard { pods, servers }, cluster.now());
        evidence.not_accepting("mk-2").into_iter().map(|lag| lag.words).collect::<Vec<_>>()
    };
    let (mut said, servers) = (cluster.said(), cluster.acceptances());
    assert_eq!(lags(&said, &servers), Vec::<String>::new());
    let old = said.iter_mut().find(|testimony| testimony.pod == "media-0").unwrap();
    old.said = Ok(contract::keys::KeysInUse::new());
    assert_eq!(lags(&said, &servers), ["pod media-0 does not tell which keys it goes by: it is of an older release"]);
    // Media logs in to MongoDB and RabbitMQ, which are somebody else's now.
    assert_eq!(lags(&said, &servers[1..2]), Vec::<String>::new());
}
