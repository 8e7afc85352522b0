//! Credentials that are exchanged while connections are used: nothing that is asked of a server fails, and in the end nobody uses the old one.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use contract::keys::KeyUse;
use futures::{TryStreamExt as _, future::join_all};
use mongodb::{
    Client,
    bson::{Document, doc},
    options::{AuthMechanism, ClientOptions, Credential, ServerAddress},
};
use runtime::{
    config::{MongoDb, Redis},
    connect::{self, redis::Heard},
    messaging::{Connector, Consumer, ConsumerSettings, Outcome, Publisher},
    shutdown::Shutdown,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[allow(dead_code, reason = "the connectors here have files of their own")]
mod broker;

use broker::{event, until};

/// The mounted Secret of a service.
struct Mounted(TempDir);

impl Mounted {
    fn new(text: &str, generation: &str) -> Self {
        let mounted = Self(tempfile::tempdir().unwrap());
        mounted.write(text, generation);
        mounted
    }

    fn write(&self, text: &str, generation: &str) {
        // A volume's files are exchanged all at once. Here nobody may find the new generation beside the old string.
        fs::write(self.file(), text).unwrap();
        fs::write(self.0.path().join("credentials"), generation).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("uri")
    }
}

/// What is asked of a server again and again, by many at once, until it is over; the first failure ends it.
struct Load {
    over: CancellationToken,
    asked: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    fn begin<F: Future<Output = Result<(), String>> + Send>(
        count: u64,
        ask: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let (over, asked) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let tasks = (0..count).map(|_| {
            let (over, asked, ask) = (over.clone(), Arc::clone(&asked), ask.clone());
            tokio::spawn(async move {
                while !over.is_cancelled() {
                    ask(asked.fetch_add(1, Ordering::Relaxed)).await?;
                }
                Ok(())
            })
        });
        let tasks = tasks.collect();
        Self { over, asked, tasks }
    }

    /// Waits until so much more has been asked.
    async fn goes_on(&self) {
        let before = self.asked.load(Ordering::Relaxed);
        until("more is asked", async || {
            self.asked.load(Ordering::Relaxed) > before + 200 || self.tasks.iter().any(JoinHandle::is_finished)
        })
        .await;
    }

    /// Tells how much was asked, none of it in vain.
    async fn end(self) -> u64 {
        self.over.cancel();
        for outcome in join_all(self.tasks).await {
            assert_eq!(outcome.unwrap(), Ok(()));
        }
        self.asked.load(Ordering::Relaxed)
    }
}

fn alone(generation: &str) -> KeyUse {
    KeyUse { current: Some(generation.to_owned()), accepted: vec![generation.to_owned()], stored: None }
}

async fn until_alone(in_use: impl Fn() -> KeyUse, generation: &str) {
    until(&format!("{generation} alone is used"), async || in_use() == alone(generation)).await;
}

/// A set of one member that wants a login.
struct Guarded {
    server: servers::MongoDb,
    system: Client,
}

impl Guarded {
    async fn start() -> Self {
        let key = "aKeyOfMoreThanSixCharacters";
        let start = move || servers::MongoDb::start_with_key_file(key).unwrap();
        let server = tokio::task::spawn_blocking(start).await.unwrap();
        let mut options = ClientOptions::default();
        options.hosts = vec![ServerAddress::parse(server.address()).unwrap()];
        options.direct_connection = Some(true);
        let credential = Credential::builder().username("__system".to_owned()).source("local".to_owned());
        let credential = credential.password(key.to_owned()).mechanism(AuthMechanism::ScramSha256).build();
        options.credential = Some(credential);
        let system = Client::with_options(options).unwrap();
        let this = Self { server, system };
        let members = [doc! {"_id": 0, "host": this.server.address()}];
        this.command(doc! {"replSetInitiate": {"_id": "rs0", "members": members.to_vec()}}).await;
        until("the set has a primary", async || {
            let hello = this.system.database("admin").run_command(doc! {"hello": 1}).await;
            hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
        })
        .await;
        this
    }

    async fn command(&self, command: Document) -> Document {
        self.system.database("admin").run_command(command).await.unwrap()
    }

    /// The connection string of a new user.
    async fn add(&self, user: &str) -> String {
        let roles = [doc! {"role": "readWrite", "db": "things"}].to_vec();
        self.command(doc! {"createUser": user, "pwd": "password", "roles": roles}).await;
        format!("mongodb://{user}:password@{}/?replicaSet=rs0&authSource=admin", self.server.address())
    }

    /// How many connections have logged in as a user, by what the server runs and has waiting.
    async fn connections_of(&self, user: &str) -> usize {
        let every = doc! {"$currentOp": {"allUsers": true, "idleConnections": true}};
        let of_user = doc! {"$match": {"effectiveUsers.user": user}};
        let found = self.system.database("admin").aggregate([every, of_user]).await.unwrap();
        found.try_collect::<Vec<_>>().await.unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_client_of_mongodb_takes_over_and_no_operation_cursor_or_transaction_fails() {
    let server = Guarded::start().await;
    let mounted = Mounted::new(&server.add("one").await, "cr-1");
    let settings = MongoDb { uri_file: mounted.file(), database: "things".into() };
    let database = connect::mongodb(&settings).await.unwrap();
    let things = database.collection::<Document>("things");
    things.now().insert_one(doc! {"_id": "first"}).await.unwrap();
    assert_eq!(database.credentials_in_use(), alone("cr-1"));

    let load = Load::begin(8, {
        let things = things.clone();
        move |number| {
            let things = things.clone();
            async move {
                let said = |error: mongodb::error::Error| format!("{number}: {error}");
                things.now().insert_one(doc! {"number": i64::try_from(number).unwrap()}).await.map_err(said)?;
                // Several trips to the server.
                let found = things.now();
                let found = found.find(doc! {}).batch_size(20).limit(60).await.map_err(said)?;
                found.try_collect::<Vec<_>>().await.map_err(said)?;
                let held = things.now();
                let mut session = held.client().start_session().await.map_err(said)?;
                session.start_transaction().await.map_err(said)?;
                let within = things.within(&session);
                within.insert_one(doc! {"again": true}).session(&mut session).await.map_err(said)?;
                within.count_documents(doc! {"again": true}).limit(1).session(&mut session).await.map_err(said)?;
                session.commit_transaction().await.map_err(said)
            }
        }
    });
    load.goes_on().await;

    // One that nobody knows is not gone by.
    let (host, unknown) = (server.server.address(), "mongodb://nobody:password@");
    mounted.write(&format!("{unknown}{host}/?replicaSet=rs0&authSource=admin"), "cr-x");
    load.goes_on().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(database.credentials_in_use(), alone("cr-1"));

    let long = database.now();
    mounted.write(&server.add("two").await, "cr-2");
    until("the new one is used", async || database.credentials_in_use().current.as_deref() == Some("cr-2")).await;
    load.goes_on().await;
    assert_eq!(database.credentials_in_use().accepted, ["cr-1", "cr-2"], "somebody still works with the old one");
    long.collection::<Document>("things").find_one(doc! {"_id": "first"}).await.unwrap().unwrap();
    drop(long);
    until_alone(|| database.credentials_in_use(), "cr-2").await;
    server.command(doc! {"dropUser": "one"}).await;
    load.goes_on().await;
    assert!(load.end().await > 500);
    until("the old client has left", async || server.connections_of("one").await == 0).await;
    connect::ping_mongodb(&database).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_connection_to_redis_takes_over_and_neither_a_command_nor_a_listener_fails() {
    let acl =
        "user default off\nuser admin on >admin ~* &* +@all\nuser test on >password-one ~* &* +@all -@dangerous\n";
    let server = tokio::task::spawn_blocking(move || servers::Redis::start_with_users(acl).unwrap()).await.unwrap();
    let admin = redis::Client::open(server.url_for("admin", "admin")).unwrap();
    let mut admin = admin.get_multiplexed_async_connection().await.unwrap();
    let mounted = Mounted::new(&server.url_for("test", "password-one"), "cr-1");
    let redis = connect::redis(&Redis { url_file: mounted.file(), authority_file: None }).unwrap();
    connect::ping_redis(&redis).await.unwrap();
    assert_eq!(redis.credentials_in_use(), alone("cr-1"));

    let mut subscription = redis.subscribe(&["news"]);
    assert!(matches!(subscription.next().await, Heard::Joined(_)));
    let (heard, joined) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let listening = tokio::spawn({
        let (heard, joined) = (Arc::clone(&heard), Arc::clone(&joined));
        async move {
            loop {
                match subscription.next().await {
                    Heard::Message(_) => heard.fetch_add(1, Ordering::Relaxed),
                    Heard::Joined(deaf_for) => {
                        assert!(deaf_for < Duration::from_secs(1), "nobody listened for {deaf_for:?}");
                        joined.fetch_add(1, Ordering::Relaxed)
                    }
                };
            }
        }
    });
    let load = Load::begin(8, {
        let redis = redis.clone();
        move |number| {
            let mut redis = redis.clone();
            async move {
                let mut commands = redis::pipe();
                commands.cmd("INCR").arg("count").ignore().cmd("PUBLISH").arg("news").arg(number).ignore();
                commands.query_async::<()>(&mut redis).await.map_err(|error| format!("{number}: {error}"))
            }
        }
    });
    load.goes_on().await;

    let set = async |admin: &mut redis::aio::MultiplexedConnection, rule: &str| {
        redis::cmd("ACL").arg("SETUSER").arg("test").arg(rule).query_async::<()>(admin).await.unwrap();
    };
    // One that is refused is not gone by.
    mounted.write(&server.url_for("test", "password-two"), "cr-2");
    load.goes_on().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(redis.credentials_in_use(), alone("cr-1"));

    set(&mut admin, ">password-two").await;
    until_alone(|| redis.credentials_in_use(), "cr-2").await;
    set(&mut admin, "<password-one").await;
    assert_eq!(joined.load(Ordering::Relaxed), 1, "the listener has moved, too, and once");
    let before = heard.load(Ordering::Relaxed);
    load.goes_on().await;
    until("news are heard", async || heard.load(Ordering::Relaxed) > before + 100).await;
    assert!(load.end().await > 500);
    listening.abort();
    let refused = redis::Client::open(server.url_for("test", "password-one")).unwrap();
    assert!(refused.get_multiplexed_async_connection().await.is_err());
    // The shared one and the listener's.
    let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut admin).await.unwrap();
    assert!(clients.matches("user=test").count() <= 2, "{clients}");
    connect::ping_redis(&redis).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_connection_to_the_broker_takes_over_and_every_event_arrives_once_and_in_order() {
    let broker = tokio::task::spawn_blocking(servers::RabbitMq::shared).await.unwrap();
    let virtual_host = tokio::task::spawn_blocking(|| broker.virtual_host()).await.unwrap();
    let virtual_host = virtual_host.rsplit('/').next().unwrap().to_owned();
    let [one, two] = ["one", "two"].map(|name| format!("{name}-{virtual_host}"));
    let add = async |user: &str| {
        let (user, virtual_host) = (user.to_owned(), virtual_host.clone());
        let add = move || broker.add_user(&user, "password", &virtual_host).unwrap();
        tokio::task::spawn_blocking(add).await.unwrap()
    };
    let mounted = Mounted::new(&add(&one).await, "cr-1");
    // Two processes, of which one publishes and one consumes; a third one has nothing to do.
    let [publishing, consuming, idle] = [(); 3].map(|()| Connector::new(mounted.file(), "test"));
    let (publisher, quiet) = (Publisher::new(publishing.clone()), Publisher::new(idle.clone()));
    let shutdown = Shutdown::new();
    let (sender, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    let mut settings = ConsumerSettings::new("test.credentials", &["session.revoked"]);
    settings.concurrency = 1;
    settings.delays = vec![];
    let consumer = tokio::spawn(Consumer::new(consuming.clone(), settings).run(shutdown.clone(), move |envelope| {
        sender.send(envelope.id).unwrap();
        async { Outcome::Ack }
    }));
    // What is published before the queue is bound goes nowhere.
    until("the queue is bound", async || {
        quiet.publish(&event()).await.unwrap();
        tokio::time::timeout(Duration::from_millis(100), arrived.recv()).await.is_ok()
    })
    .await;

    let sent = Arc::new(std::sync::Mutex::new(Vec::new()));
    let load = Load::begin(1, {
        let sent = Arc::clone(&sent);
        move |number| {
            let (publisher, sent, event) = (publisher.clone(), Arc::clone(&sent), event());
            async move {
                sent.lock().unwrap().push(event.id);
                publisher.publish(&event).await.map_err(|error| format!("{number}: {error}"))
            }
        }
    });
    load.goes_on().await;
    let connectors = [&publishing, &consuming, &idle];
    for connector in connectors {
        assert_eq!(connector.credentials_in_use(), alone("cr-1"));
    }
    mounted.write(&add(&two).await, "cr-2");
    for connector in connectors {
        until_alone(|| connector.credentials_in_use(), "cr-2").await;
    }
    tokio::task::spawn_blocking(move || broker.remove_user(&one).unwrap()).await.unwrap();
    load.goes_on().await;
    quiet.publish(&event()).await.unwrap();
    load.end().await;
    let sent = sent.lock().unwrap().clone();
    let mut seen = Vec::new();
    until("all of it has arrived", async || {
        while let Ok(id) = arrived.try_recv() {
            seen.push(id);
        }
        seen.contains(sent.last().unwrap())
    })
    .await;
    seen.retain(|id| sent.contains(id));
    assert!(seen == sent, "{} were sent, and {} arrived, or not in that order", sent.len(), seen.len());
    shutdown.soft().cancel();
    consumer.await.unwrap();
}
