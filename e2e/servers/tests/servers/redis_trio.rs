use std::time::{Duration, Instant};

use servers::{RedisTrio, TrioSecrets};

fn start() -> RedisTrio {
    RedisTrio::start(TrioSecrets::default()).unwrap()
}

/// Sets a key on a server, as a service would; answers what the server said.
fn set(trio: &RedisTrio, index: usize, key: &str, value: &str) -> String {
    let client = redis::Client::open(format!("redis://test:secret@{}/", trio.address(index))).unwrap();
    let outcome =
        client.get_connection().and_then(|mut server| redis::cmd("SET").arg(key).arg(value).query(&mut server));
    outcome.unwrap_or_else(|error: redis::RedisError| error.to_string())
}

fn get(trio: &RedisTrio, index: usize, key: &str) -> Option<String> {
    let client = redis::Client::open(format!("redis://test:secret@{}/", trio.address(index))).unwrap();
    redis::cmd("GET").arg(key).query(&mut client.get_connection().unwrap()).unwrap()
}

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sets a key on the master, and waits until both replicas have it.
fn set_everywhere(trio: &RedisTrio, master: usize, key: &str) {
    assert_eq!(set(trio, master, key, "here"), "OK");
    until("all three have it", || (0..3).all(|index| get(trio, index, key).as_deref() == Some("here")));
}

#[test]
fn at_the_first_start_the_first_is_master() {
    let trio = start();
    assert_eq!(trio.wait_until_whole().unwrap(), 0);
    set_everywhere(&trio, 0, "key");
}

#[test]
fn a_killed_master_is_replaced_and_joins_as_a_replica_when_it_comes_back() {
    let mut trio = start();
    set_everywhere(&trio, 0, "before");
    trio.kill_member(0);
    let killed = Instant::now();
    let master = trio.wait_until_replaced(0, 1).unwrap();
    eprintln!("a master was killed; {:?} later another was master", killed.elapsed());
    until("the new master takes writes", || set(&trio, master, "after", "here") == "OK");
    trio.start_member(0).unwrap();
    assert_eq!(trio.wait_until_whole().unwrap(), master);
    assert!(trio.log(0).unwrap().contains(&format!("starts as replica of {}", trio.address(master))));
    assert_eq!(get(&trio, 0, "before").as_deref(), Some("here"));
    assert_eq!(get(&trio, 0, "after").as_deref(), Some("here"));
}

#[test]
fn what_a_master_took_that_nobody_copied_is_gone_when_it_comes_back_and_soon_it_takes_nothing() {
    let mut trio = start();
    set_everywhere(&trio, 0, "before");
    // Cut off from the others, which are still, it knows nothing of it for a moment.
    trio.freeze_member(1).unwrap();
    trio.freeze_member(2).unwrap();
    assert_eq!(set(&trio, 0, "alone", "lost"), "OK");
    let alone = Instant::now();
    until("it refuses writes", || set(&trio, 0, "alone", "lost").contains("NOREPLICAS"));
    eprintln!("a master without replicas took writes for another {:?}", alone.elapsed());
    trio.kill_member(0);
    // What was on its way to them, they shall not find: as with a network that is gone.
    for index in [1, 2] {
        trio.kill_member(index);
    }
    for index in [1, 2] {
        trio.start_sentinel(index).unwrap();
    }
    for index in [1, 2] {
        trio.start_server(index).unwrap();
    }
    let master = trio.wait_until_replaced(0, 1).unwrap();
    trio.start_member(0).unwrap();
    assert_eq!(trio.wait_until_whole().unwrap(), master);
    for index in 0..3 {
        assert_eq!(get(&trio, index, "before").as_deref(), Some("here"));
        assert_eq!(get(&trio, index, "alone"), None, "server {index} has what only the old master had");
    }
}

#[test]
fn all_killed_at_once_come_back_with_their_data_and_one_master() {
    let mut trio = start();
    trio.kill_member(0);
    let master = trio.wait_until_replaced(0, 1).unwrap();
    trio.start_member(0).unwrap();
    trio.wait_until_whole().unwrap();
    set_everywhere(&trio, master, "key");
    for index in 0..3 {
        trio.kill_member(index);
    }
    for index in 0..3 {
        trio.start_member(index).unwrap();
    }
    // Not the first one again: who is master was written down.
    assert_eq!(trio.wait_until_whole().unwrap(), master);
    assert!((0..3).all(|index| get(&trio, index, "key").as_deref() == Some("here")));
}

#[test]
fn a_master_that_is_stopped_in_order_hands_over_first_and_loses_nothing() {
    let mut trio = start();
    let address = trio.address(0);
    let writer = std::thread::spawn(move || {
        let client = redis::Client::open(format!("redis://test:secret@{address}/")).unwrap();
        let mut server = client.get_connection().unwrap();
        let mut acknowledged = 0_u32;
        while redis::cmd("SET").arg(format!("n:{acknowledged}")).arg(1).query::<()>(&mut server).is_ok() {
            acknowledged += 1;
        }
        acknowledged
    });
    let stopping = Instant::now();
    let said = trio.stop_member(0).unwrap();
    eprintln!("handed over and stopped within {:?}: {said}", stopping.elapsed());
    let acknowledged = writer.join().unwrap();
    let master = trio.wait_until_replaced(0, 1).unwrap();
    assert!(said.ends_with(&format!("has handed over to {}", trio.address(master))), "{said}");
    assert!(acknowledged > 100, "{acknowledged}");
    assert!(has_all(&trio, master, acknowledged), "one of {acknowledged} acknowledged writes is lost");
    trio.start_member(0).unwrap();
    assert_eq!(trio.wait_until_whole().unwrap(), master);
}

/// Whether a server has all of `n:0` to `n:<count - 1>`.
fn has_all(trio: &RedisTrio, index: usize, count: u32) -> bool {
    let client = redis::Client::open(format!("redis://test:secret@{}/", trio.address(index))).unwrap();
    let mut server = client.get_connection().unwrap();
    let numbers: Vec<u32> = (0..count).collect();
    numbers.chunks(1000).all(|numbers| {
        let keys: Vec<String> = numbers.iter().map(|number| format!("n:{number}")).collect();
        redis::cmd("EXISTS").arg(&keys).query::<usize>(&mut server).unwrap() == keys.len()
    })
}

#[test]
fn a_replica_stops_at_once_and_so_does_a_master_that_nobody_can_follow() {
    let mut trio = start();
    let began = Instant::now();
    assert_eq!(trio.stop_member(2).unwrap(), "");
    assert_eq!(trio.stop_member(1).unwrap(), "");
    assert!(trio.stop_member(0).unwrap().ends_with("stops, and hands over to nobody"));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for index in 0..3 {
        trio.start_member(index).unwrap();
    }
    assert_eq!(trio.wait_until_whole().unwrap(), 0);
}

#[test]
fn a_master_whose_volume_is_lost_does_not_empty_the_others() {
    let mut trio = start();
    set_everywhere(&trio, 0, "key");
    trio.kill_member(0);
    trio.lose_volume(0).unwrap();
    // Sooner than the sentinels notice that it was away.
    trio.start_member(0).unwrap();
    let master = trio.wait_until_whole().unwrap();
    assert_ne!(master, 0);
    assert!((0..3).all(|index| get(&trio, index, "key").as_deref() == Some("here")));
}

#[test]
fn a_master_that_crashes_and_is_back_at_once_goes_on_with_all_it_had() {
    let mut trio = start();
    assert_eq!(set(&trio, 0, "key", "here"), "OK");
    trio.kill_server(0);
    trio.start_server(0).unwrap();
    assert_eq!(trio.wait_until_whole().unwrap(), 0);
    assert_eq!(get(&trio, 0, "key").as_deref(), Some("here"));
}

#[test]
fn a_single_server_that_grows_keeps_its_data() {
    let mut trio = RedisTrio::prepare(TrioSecrets::default()).unwrap();
    trio.start_single().unwrap();
    assert_eq!(set(&trio, 0, "key", "here"), "OK");
    // The two new pods come first, and are ready before the old one is replaced.
    for index in [1, 2] {
        trio.start_member(index).unwrap();
    }
    until("the new ones have everything", || [1, 2].iter().all(|index| trio.is_ready(*index).unwrap().0));
    trio.stop_single().unwrap();
    trio.start_member(0).unwrap();
    trio.wait_until_whole().unwrap();
    assert!((0..3).all(|index| get(&trio, index, "key").as_deref() == Some("here")));
}

#[test]
fn a_sentinel_that_forgot_everything_learns_it_from_the_others() {
    let mut trio = start();
    trio.kill_member(0);
    let master = trio.wait_until_replaced(0, 1).unwrap();
    trio.lose_volume(0).unwrap();
    trio.start_member(0).unwrap();
    assert_eq!(trio.wait_until_whole().unwrap(), master);
}

#[test]
fn slow_is_not_dead_and_a_replica_without_its_master_is_not_ready() {
    let mut trio = start();
    let (ready, said) = trio.is_ready(1).unwrap();
    assert!(ready, "{said}");
    // Both sentinels that could replace the master are away.
    for index in [0, 1, 2] {
        trio.kill_sentinel(index);
    }
    trio.kill_server(0);
    until("the replica is not ready", || !trio.is_ready(1).unwrap().0);
    let said = trio.is_ready(1).unwrap().1;
    assert!(said.contains("its link is in state: connect"), "{said}");
    assert!(trio.is_alive(1).unwrap().0, "a replica that looks for its master is alive");
    assert!(!trio.is_alive(0).unwrap().0, "nobody is there");
    trio.freeze_server(2).unwrap();
    let (alive, said) = trio.is_alive(2).unwrap();
    assert!(!alive, "{said}");
}

#[test]
fn nobody_is_told_anything_without_a_login() {
    let trio = start();
    let refused = |address: &str, words: &[&str]| {
        let mut stranger = redis::Client::open(format!("redis://{address}/")).unwrap().get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        let refusal = command.query::<redis::Value>(&mut stranger).unwrap_err();
        assert_eq!(refusal.code(), Some("NOAUTH"), "{address}: {words:?}");
    };
    for index in 0..3 {
        for words in [&["PING"][..], &["GET", "key"], &["SUBSCRIBE", "channel"], &["INFO"], &["PSYNC", "?", "-1"]] {
            refused(&trio.address(index), words);
        }
        for words in [
            &["PING"][..],
            &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "chatplatform"],
            &["SENTINEL", "MASTER", "chatplatform"],
            &["SENTINEL", "FAILOVER", "chatplatform"],
            &["SUBSCRIBE", "+switch-master"],
            &["PUBLISH", "__sentinel__:hello", "x"],
        ] {
            refused(&trio.sentinel_address(index), words);
        }
    }
}
