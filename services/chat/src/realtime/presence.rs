//! Who is connected, in Redis, so that every replica knows.
//!
//! `chat:presence:<user>` is a sorted set of the replicas that hold a socket of the user, by the time at which the entry expires; `chat:online`
//! is one of all users who are connected anywhere. A replica renews what it holds; what a dead one held expires.
//!
//! Who has gone is not online from that moment, but may come back within a few seconds without its being news: a replica that stops sends
//! thousands of people to the others, and none of them has been away. Until then they are in `chat:leaving`; whichever replica looks first takes
//! out those who stayed away.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use contract::id::UserId;
use redis::{RedisError, Script};
use runtime::clock::Clock;
use runtime::connect::Redis;
use tokio::time::{Instant, timeout};

use crate::turns::Turns;

/// How long an entry holds without being renewed.
const LIFE: Duration = Duration::from_secs(40);
/// How often a replica renews its entries and takes out expired ones.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(10);

/// How many of those whose time is over are taken out at a time, as the script says.
const EXPIRED_AT_ONCE: usize = 500;

/// About how many users Redis gives at a time.
const SCANNED_AT_ONCE: u32 = 1_000;

/// How long sending a message waits to learn who is online.
const QUICK: Duration = Duration::from_millis(500);

/// How long somebody may be away without its being news.
const GRACE: Duration = Duration::from_secs(5);

const ONLINE: &str = "chat:online";
const LEAVING: &str = "chat:leaving";

/// KEYS: the user's set, all online, all leaving. ARGV: now, expiry, replica, user, life. Gives 0 if nobody knows the user to be here.
static ENTER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
         local before = redis.call('ZCARD', KEYS[1])
         redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
         redis.call('PEXPIRE', KEYS[1], ARGV[5])
         redis.call('ZADD', KEYS[2], ARGV[2], ARGV[4])
         return before + redis.call('ZREM', KEYS[3], ARGV[4])",
    )
});

/// KEYS as above. ARGV: now, replica, user, end of the grace.
static LEAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "redis.call('ZREM', KEYS[1], ARGV[2])
         redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
         local left = redis.call('ZCARD', KEYS[1])
         if left == 0 then
           redis.call('ZREM', KEYS[2], ARGV[3])
           redis.call('ZADD', KEYS[3], ARGV[4], ARGV[3])
         end",
    )
});

/// KEYS: all online or all leaving. ARGV: now. Takes out and gives those whose time is over.
static EXPIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 500)
         if #gone > 0 then redis.call('ZREM', KEYS[1], unpack(gone)) end
         return gone",
    )
});

/// What this replica tells Redis of its sockets' users, and asks of it. Clones share it.
#[derive(Clone)]
pub struct Presence(Arc<Inner>);

struct Inner {
    redis: Redis,
    replica: String,
    clock: Clock,
    turns: Turns,
    local: Mutex<Local>,
}

#[derive(Default)]
struct Local {
    /// Sockets by user.
    sockets: HashMap<UserId, usize>,
    /// Users of whom Redis has been told.
    told: HashSet<UserId>,
    /// When the entries of this replica were renewed last.
    renewed: Option<Instant>,
}

impl Presence {
    /// For the replica of this name.
    #[must_use]
    pub fn new(redis: Redis, replica: String, clock: Clock) -> Self {
        Self(Arc::new(Inner { redis, replica, clock, turns: Turns::default(), local: Mutex::default() }))
    }

    /// One more socket of the user is here. True if they were nowhere before, and had not just gone.
    pub async fn arrive(&self, user: UserId) -> Result<bool, RedisError> {
        self.with_local(|local| *local.sockets.entry(user).or_default() += 1);
        self.tell(user).await
    }

    /// One less.
    pub async fn depart(&self, user: UserId) -> Result<(), RedisError> {
        self.with_local(|local| {
            if let Some(count) = local.sockets.get_mut(&user) {
                *count -= 1;
                if *count == 0 {
                    local.sockets.remove(&user);
                }
            }
        });
        self.tell(user).await.map(|_| ())
    }

    /// Those who have gone and stayed away. Each is given to one replica, once.
    pub async fn gone(&self) -> Result<Vec<UserId>, RedisError> {
        self.expired(LEAVING).await
    }

    /// Those of these users who are connected anywhere. If Redis cannot tell, nobody is: it is better to notify one too many.
    pub async fn online(&self, users: &[UserId]) -> Vec<UserId> {
        if users.is_empty() {
            return Vec::new();
        }
        let names: Vec<String> = users.iter().map(ToString::to_string).collect();
        let mut redis = self.0.redis.clone();
        let question =
            async { redis::cmd("ZMSCORE").arg(ONLINE).arg(names).query_async::<Vec<Option<f64>>>(&mut redis).await };
        let Ok(scores) = timeout(QUICK, question).await else {
            tracing::warn!("Redis does not tell in time who is online");
            return Vec::new();
        };
        let now = self.now();
        match scores {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into 53 bits")]
            Ok(scores) => {
                let here = |score: Option<f64>| score.is_some_and(|until| until > now as f64);
                users.iter().zip(scores).filter(|(_, score)| here(*score)).map(|(user, _)| *user).collect()
            }
            Err(error) => {
                tracing::warn!(error = error.to_string(), "cannot tell who is online");
                Vec::new()
            }
        }
    }

    /// Everybody who is connected anywhere, and who went so short a while ago that it is no news yet.
    pub async fn everybody(&self) -> Result<HashSet<UserId>, RedisError> {
        let mut everybody = HashSet::new();
        for set in [ONLINE, LEAVING] {
            let mut redis = self.0.redis.clone();
            let mut cursor = 0_u64;
            loop {
                let scan = redis::cmd("ZSCAN").arg(set).arg(cursor).arg("COUNT").arg(SCANNED_AT_ONCE).to_owned();
                let (next, found): (u64, Vec<String>) = scan.query_async(&mut redis).await?;
                // Each is followed by its score.
                everybody.extend(found.iter().step_by(2).filter_map(|user| user.parse::<UserId>().ok()));
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(everybody)
    }

    /// Renews this replica's entries and gives the users of dead replicas who are gone by that. Where this could not be done for a while,
    /// others could not either: they are given the time to do it before anybody is called gone.
    pub async fn renew(&self) -> Result<Vec<UserId>, RedisError> {
        let (here, left): (Vec<UserId>, Vec<UserId>) =
            self.with_local(|local| local.told.iter().partition(|user| local.sockets.contains_key(user)));
        let mut redis = self.0.redis.clone();
        for user in left {
            // Redis could not be told when they left.
            self.tell(user).await?;
        }
        for users in here.chunks(200) {
            let mut pipeline = redis::pipe();
            let until = self.now() + life();
            for user in users {
                let set = set_of(*user);
                pipeline.zadd(&set, &self.0.replica, until).ignore();
                pipeline.pexpire(&set, life()).ignore();
                pipeline.zadd(ONLINE, user.to_string(), until).ignore();
            }
            pipeline.query_async::<()>(&mut redis).await?;
        }
        let now = Instant::now();
        let before = self.with_local(|local| local.renewed.replace(now));
        if before.is_none_or(|before| now.duration_since(before) > RENEW_EVERY * 2) {
            return Ok(Vec::new());
        }
        self.expired(ONLINE).await
    }

    async fn expired(&self, set: &str) -> Result<Vec<UserId>, RedisError> {
        let mut redis = self.0.redis.clone();
        let mut all = Vec::new();
        loop {
            let expired: Vec<String> = EXPIRE.key(set).arg(self.now()).invoke_async(&mut redis).await?;
            all.extend(expired.iter().filter_map(|user| user.parse::<UserId>().ok()));
            if expired.len() < EXPIRED_AT_ONCE {
                return Ok(all);
            }
        }
    }

    /// Makes Redis agree with the number of sockets here; true if the user came by that, seen from all replicas.
    async fn tell(&self, user: UserId) -> Result<bool, RedisError> {
        let _turn = self.0.turns.take(user).await;
        let (here, told) = self.with_local(|local| (local.sockets.contains_key(&user), local.told.contains(&user)));
        let mut redis = self.0.redis.clone();
        let (set, now) = (set_of(user), self.now());
        match (here, told) {
            (true, false) => {
                let mut enter = ENTER.key(set);
                let enter = enter.key(ONLINE).key(LEAVING).arg(now).arg(now + life());
                let enter = enter.arg(&self.0.replica).arg(user.to_string()).arg(life());
                let known: i64 = enter.invoke_async(&mut redis).await?;
                self.with_local(|local| local.told.insert(user));
                Ok(known == 0)
            }
            (false, true) => {
                let mut leave = LEAVE.key(set);
                let leave = leave.key(ONLINE).key(LEAVING).arg(now).arg(&self.0.replica).arg(user.to_string());
                leave.arg(now + milliseconds(GRACE)).invoke_async::<()>(&mut redis).await?;
                self.with_local(|local| local.told.remove(&user));
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn now(&self) -> i64 {
        self.0.clock.now().as_millisecond()
    }

    fn with_local<R>(&self, work: impl FnOnce(&mut Local) -> R) -> R {
        work(&mut self.0.local.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn set_of(user: UserId) -> String {
    format!("chat:presence:{user}")
}

fn life() -> i64 {
    milliseconds(LIFE)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
