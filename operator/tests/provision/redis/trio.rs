//! Three servers and their sentinels, with the files that the operator makes.

use operator::provision::State;
use operator::provision::redis::{Target, provision};
use operator::provisioner::Role;
use operator::secrets::{Login, Material};
use servers::{RedisTrio, TrioSecrets};

use super::{connect, instance, own, run};
use crate::{login, material, value};

fn start(material: &Material) -> (RedisTrio, Target) {
    let value = |key| value(material, "acme-redis", key);
    let trio = RedisTrio::start(TrioSecrets {
        users_acl: value("users.acl"),
        sentinel_acl: value("sentinel.acl"),
        replication_password: value("replication-password"),
        sentinel_password: value("sentinel-password"),
    });
    let trio = trio.unwrap();
    let pod = |index| format!("acme-redis-{index}");
    let target = Target {
        servers: (0..3).map(|index| instance(&pod(index), &trio.address(index))).collect(),
        sentinels: (0..3).map(|index| instance(&pod(index), &trio.sentinel_address(index))).collect(),
        ..super::target(material, &trio.address(0))
    };
    (trio, target)
}

/// Tries until what the servers say is `wanted`.
async fn until(target: &Target, wanted: &str) -> State {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let state = provision(target).await.unwrap();
        if state.message == wanted {
            return state;
        }
        assert!(std::time::Instant::now() < deadline, "still {:?}, not {wanted:?}", state.message);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn three_that_were_started_with_our_files_need_no_correction_and_tell_who_is_master() {
    let material = material();
    let (mut trio, target) = start(&material);
    let state = provision(&target).await.unwrap();
    assert_eq!(state.message, "master acme-redis-0, 2 replicas in sync, 3 of 3 sentinels agree");
    assert!(state.ready);
    assert_eq!(state.changes, Vec::<String>::new());
    assert!(state.version.as_ref().unwrap().starts_with("7."));
    // Nothing in it changes by itself.
    assert_eq!(provision(&target).await.unwrap(), state);

    trio.kill_member(0);
    let master = trio.wait_until_replaced(0, 1).unwrap();
    let other = 3 - master;
    let away = "acme-redis-0: does not answer";
    let wanted =
        format!("master acme-redis-{master}, 1 of 2 replicas in sync ({away}), 2 of 3 sentinels agree ({away})");
    let state = until(&target, &wanted).await;
    assert!(state.ready, "{state:?}");
    let role = |index: usize| state.members.iter().find(|member| member.pod == format!("acme-redis-{index}")).unwrap();
    assert_eq!((role(0).role, role(master).role, role(other).role), (Role::Other, Role::Primary, Role::Secondary));

    trio.start_member(0).unwrap();
    trio.wait_until_whole().unwrap();
    let wanted = format!("master acme-redis-{master}, 2 replicas in sync, 3 of 3 sentinels agree");
    assert_eq!(until(&target, &wanted).await.changes, Vec::<String>::new());

    // The rights that the scripts have are enough to hand over.
    let said = trio.stop_member(master).unwrap();
    assert!(said.contains("has handed over to"), "{said}");
}

#[tokio::test]
async fn users_are_corrected_on_each_server_and_each_sentinel() {
    let material = material();
    let (trio, target) = start(&material);
    let mut server = connect(&trio.address(1), &target.operator).await.unwrap();
    run(&mut server, &["ACL", "SETUSER", "chat", "~*"]).await.unwrap();
    let mut sentinel = connect(&trio.sentinel_address(2), &target.operator).await.unwrap();
    run(&mut sentinel, &["ACL", "SETUSER", "gateway", "+@all"]).await.unwrap();
    run(&mut sentinel, &["ACL", "SETUSER", "default", "on", "nopass"]).await.unwrap();

    let state = provision(&target).await.unwrap();
    assert_eq!(
        state.changes,
        [
            "corrected user chat of acme-redis-1",
            "corrected user gateway of the sentinel of acme-redis-2",
            "turned the default user of the sentinel of acme-redis-2 off"
        ]
    );
    assert_eq!(provision(&target).await.unwrap().changes, Vec::<String>::new());
}

#[tokio::test]
async fn the_credentials_of_a_service_are_refused_in_the_keys_of_every_other_on_every_server() {
    let material = material();
    let (trio, target) = start(&material);
    let services = ["gateway", "auth", "chat"];
    for index in 0..3 {
        for user in services {
            let mut server = connect(&trio.address(index), login(&target.users, user)).await.unwrap();
            for other in services.iter().filter(|other| **other != user) {
                let key = format!("{other}:key");
                for words in [&["GET", &key][..], &["SET", &key, "1"], &["DEL", &key], &["PUBLISH", &key, "x"]] {
                    // Log-outs concern all three, and are published by whoever is told of them.
                    if words[0] == "PUBLISH" && *other == "auth" {
                        continue;
                    }
                    let refusal = run(&mut server, words).await;
                    assert_eq!(refusal, Err("NOPERM".to_owned()), "{user} on server {index}: {words:?}");
                }
                let script = ["EVAL", "return redis.call('GET', KEYS[1])", "1", &key];
                assert_eq!(run(&mut server, &script).await, Err("NOPERM".to_owned()), "{user} on server {index}");
            }
            for words in
                [&["REPLICAOF", "NO", "ONE"][..], &["CONFIG", "GET", "*"], &["CLIENT", "PAUSE", "1"], &["ROLE"]]
            {
                assert_eq!(run(&mut server, words).await, Err("NOPERM".to_owned()), "{user}: {words:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_service_may_ask_a_sentinel_who_is_master_and_change_nothing() {
    let material = material();
    let (trio, target) = start(&material);
    let own = own(&material);
    for index in 0..3 {
        for user in ["gateway", "auth", "chat"] {
            let mut sentinel = connect(&trio.sentinel_address(index), login(&target.users, user)).await.unwrap();
            assert!(run(&mut sentinel, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "chatplatform"]).await.is_ok());
            assert!(run(&mut sentinel, &["SENTINEL", "MASTER", "chatplatform"]).await.is_ok());
            for words in [
                &["SENTINEL", "FAILOVER", "chatplatform"][..],
                &["SENTINEL", "SET", "chatplatform", "quorum", "1"],
                &["SENTINEL", "REMOVE", "chatplatform"],
                &["SENTINEL", "CONFIG", "GET", "*"],
                &["PUBLISH", "__sentinel__:hello", "x"],
                &["ACL", "LIST"],
                &["SHUTDOWN"],
            ] {
                assert_eq!(run(&mut sentinel, words).await, Err("NOPERM".to_owned()), "{user}: {words:?}");
            }
            assert_eq!(run(&mut sentinel, &["SUBSCRIBE", "__sentinel__:hello"]).await, Err("NOPERM".to_owned()));
            assert!(run(&mut sentinel, &["SUBSCRIBE", "+switch-master"]).await.is_ok());
        }
        // Replicas have no business there, and probes need no login to find a port open.
        let refused: Vec<&Login> = vec![&own.replication];
        for login in refused {
            let mut sentinel = connect(&trio.sentinel_address(index), login).await.unwrap();
            assert_eq!(run(&mut sentinel, &["PING"]).await, Err("NOPERM".to_owned()));
        }
    }
}
