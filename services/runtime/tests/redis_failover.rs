//! The connection to Redis while the master changes: a real trio, killed, stopped and frozen.

#![allow(clippy::unwrap_used, clippy::used_underscore_binding)]

use std::io::Write as _;
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisResult};
use runtime::config;
use runtime::connect::redis::{Heard, Subscription};
use runtime::connect::{self, Redis};
use servers::{RedisTrio, TrioSecrets};
use tempfile::NamedTempFile;
use tokio::time::{sleep, timeout};

/// What a killed master may cost clients.
const OUTAGE: Duration = Duration::from_secs(10);
/// No command takes longer, whatever state Redis is in.
const BOUND: Duration = Duration::from_secs(4);

struct World {
    trio: RedisTrio,
    redis: Redis,
    _url: NamedTempFile,
}

impl World {
    async fn open() -> Self {
        let trio = blocking(|| RedisTrio::start(TrioSecrets::default()).unwrap()).await;
        let mut url = NamedTempFile::new().unwrap();
        writeln!(url, "{}", trio.url_for("test", "secret")).unwrap();
        let redis = connect::redis(&config::Redis { url_file: url.path().into(), authority_file: None }).unwrap();
        let world = Self { trio, redis, _url: url };
        world.until_written("first", "1", BOUND).await;
        world
    }

    async fn set(&self, key: &str, value: &str) -> RedisResult<()> {
        let began = Instant::now();
        let outcome = redis::cmd("SET").arg(key).arg(value).query_async(&mut self.redis.clone()).await;
        assert!(began.elapsed() < BOUND, "a command took {:?} and gave {outcome:?}", began.elapsed());
        outcome
    }

    async fn get(&self, key: &str) -> Option<String> {
        redis::cmd("GET").arg(key).query_async(&mut self.redis.clone()).await.unwrap()
    }

    async fn until_written(&self, key: &str, value: &str, limit: Duration) -> Duration {
        let began = Instant::now();
        while let Err(error) = self.set(key, value).await {
            assert!(began.elapsed() < limit, "no write within {limit:?}: {error}");
            sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Passes everything else by.
async fn message(subscription: &mut Subscription) -> String {
    loop {
        if let Heard::Message(message) = subscription.next().await {
            return message.get_payload().unwrap();
        }
    }
}

async fn publish(redis: &Redis, text: &str) -> RedisResult<i64> {
    redis::cmd("PUBLISH").arg("channel").arg(text).query_async(&mut redis.clone()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_costs_less_than_ten_seconds_and_nothing_that_had_a_second_to_be_copied() {
    let mut world = World::open().await;
    assert!(world.redis.is_replicated());
    for number in 0..1000 {
        world.set(&format!("session:{number}"), "here").await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    // And this one at the very end, for which somebody waits.
    let mut confirmed = redis::pipe();
    confirmed.cmd("SET").arg("confirmed").arg(1).ignore().cmd("WAIT").arg(1).arg(500);
    let copies: Vec<u32> = confirmed.query_async(&mut world.redis.clone()).await.unwrap();
    assert!(copies[0] >= 1);
    world.trio.kill_member(0);
    let outage = world.until_written("after", "1", OUTAGE).await;
    eprintln!("a master was killed; {outage:?} later a write was acknowledged");
    for number in 0..1000 {
        assert_eq!(world.get(&format!("session:{number}")).await.as_deref(), Some("here"), "{number}");
    }
    assert_eq!(world.get("confirmed").await.as_deref(), Some("1"));
    // It comes back as a replica, and nobody is disturbed by that.
    let mut trio = world.trio;
    let (trio, master) = blocking(move || {
        trio.start_member(0).unwrap();
        let master = trio.wait_until_whole().unwrap();
        (trio, master)
    })
    .await;
    assert_ne!(master, 0);
    let world = World { trio, ..world };
    world.set("later", "1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_there_is_no_master_commands_fail_at_once_and_say_why() {
    let mut world = World::open().await;
    for index in 0..3 {
        world.trio.kill_member(index);
    }
    while world.set("key", "1").await.is_ok() {}
    let deadline = Instant::now() + BOUND;
    let error = loop {
        let began = Instant::now();
        let error = world.set("key", "1").await.unwrap_err();
        if error.kind() == ErrorKind::MasterNameNotFoundBySentinel {
            assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
            break error;
        }
        assert!(Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(20)).await;
    };
    let said = error.to_string();
    assert!((0..3).all(|index| said.contains(&world.trio.sentinel_address(index))), "{said}");
    assert!(connect::ping_redis(&world.redis).await.is_err());
    let mut trio = world.trio;
    let trio = blocking(move || {
        (0..3).for_each(|index| trio.start_member(index).unwrap());
        trio
    })
    .await;
    World { trio, ..world }.until_written("key", "1", OUTAGE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_falls_silent_is_left_and_its_connections_are_not_waited_for() {
    let world = World::open().await;
    world.trio.freeze_member(0).unwrap();
    let outage = world.until_written("after", "1", OUTAGE).await;
    eprintln!("a master fell silent; {outage:?} later a write was acknowledged");
    // It wakes up and still believes to be master: nobody listens to it.
    world.trio.thaw_member(0).unwrap();
    world.set("key", "new").await.unwrap();
    assert_eq!(world.get("key").await.as_deref(), Some("new"));
    let World { trio, redis, _url } = world;
    let (trio, master) = blocking(move || {
        let master = trio.wait_until_whole().unwrap();
        (trio, master)
    })
    .await;
    assert_ne!(master, 0);
    World { trio, redis, _url }.set("key", "newer").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_hands_over_in_order_is_followed_and_no_acknowledged_write_is_lost() {
    let world = World::open().await;
    let World { mut trio, redis, _url } = world;
    let stopped = blocking(move || {
        let said = trio.stop_member(0).unwrap();
        (trio, said)
    });
    let mut writer = redis.clone();
    let mut acknowledged = Vec::new();
    let (mut number, mut last, mut gap) = (0, Instant::now(), Duration::ZERO);
    tokio::pin!(stopped);
    let (trio, said) = loop {
        tokio::select! {
            biased;
            stopped = &mut stopped => break stopped,
            written = async { redis::cmd("SET").arg(format!("n:{number}")).arg(1).query_async::<()>(&mut writer).await } => {
                if written.is_ok() {
                    acknowledged.push(number);
                    gap = gap.max(last.elapsed());
                    last = Instant::now();
                } else {
                    sleep(Duration::from_millis(20)).await;
                }
                number += 1;
            }
        }
    };
    let world = World { trio, redis, _url };
    world.until_written("after", "1", OUTAGE).await;
    gap = gap.max(last.elapsed());
    eprintln!("{said}; the longest time without an acknowledged write was {gap:?}");
    assert!(said.contains("has handed over to"), "{said}");
    let keys: Vec<String> = acknowledged.iter().map(|number| format!("n:{number}")).collect();
    for keys in keys.chunks(1000) {
        let there: usize = redis::cmd("EXISTS").arg(keys).query_async(&mut world.redis.clone()).await.unwrap();
        assert_eq!(there, keys.len());
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    assert!(gap < OUTAGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_goes_on_with_the_next_master_and_says_that_it_missed_something() {
    let mut world = World::open().await;
    let mut subscription = world.redis.subscribe(&["channel"]);
    assert!(matches!(subscription.next().await, Heard::Joined(_)));
    publish(&world.redis, "one").await.unwrap();
    assert_eq!(message(&mut subscription).await, "one");
    world.trio.kill_member(0);
    let began = Instant::now();
    assert!(matches!(timeout(OUTAGE, subscription.next()).await.unwrap(), Heard::Joined(_)));
    eprintln!("a master was killed; {:?} later the subscription had begun anew", began.elapsed());
    while publish(&world.redis, "two").await.is_err() {
        assert!(began.elapsed() < OUTAGE);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(timeout(OUTAGE, message(&mut subscription)).await.unwrap(), "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_leaves_a_master_that_was_replaced_without_closing_it() {
    let world = World::open().await;
    let mut subscription = world.redis.subscribe(&["channel"]);
    assert!(matches!(subscription.next().await, Heard::Joined(_)));
    world.trio.freeze_member(0).unwrap();
    assert!(matches!(timeout(OUTAGE, subscription.next()).await.unwrap(), Heard::Joined(_)));
    world.until_written("key", "1", OUTAGE).await;
    publish(&world.redis, "two").await.unwrap();
    assert_eq!(timeout(OUTAGE, message(&mut subscription)).await.unwrap(), "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_not_waited_for() {
    let world = World::open().await;
    let mut url = NamedTempFile::new().unwrap();
    writeln!(url, "{}", world.trio.url_for("test", "wrong")).unwrap();
    let settings = config::Redis { url_file: url.path().into(), authority_file: None };
    let mut redis = connect::redis(&settings).unwrap();
    let began = Instant::now();
    let refused = loop {
        let refused = redis::cmd("PING").query_async::<()>(&mut redis).await.unwrap_err();
        if refused.kind() == ErrorKind::MasterNameNotFoundBySentinel {
            break refused.to_string();
        }
        assert!(began.elapsed() < BOUND, "{refused}");
        sleep(Duration::from_millis(20)).await;
    };
    assert!(refused.contains("WRONGPASS"), "{refused}");
    // The right one is taken from the same file as soon as it is there.
    std::fs::write(url.path(), world.trio.url_for("test", "secret")).unwrap();
    while redis::cmd("PING").query_async::<()>(&mut redis).await.is_err() {
        assert!(began.elapsed() < OUTAGE, "the new URL is not used");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_at_the_start_with_the_cure() {
    let file_with = |text: &str| {
        let mut file = NamedTempFile::new().unwrap();
        writeln!(file, "{text}").unwrap();
        let settings = config::Redis { url_file: file.path().into(), authority_file: None };
        connect::redis(&settings).unwrap_err().to_string()
    };
    assert_eq!(
        file_with("redis+sentinel://a:secret@h:26379"),
        "the Redis URL must name the master after the sentinels: redis+sentinel://host:port/master/database"
    );
    assert!(file_with("http://h").contains("must begin with redis://"));
}
