//! Credentials exchanged at real servers: what the operator decides is provisioned and mounted, and the services' own connections say
//! what they go by.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contract::event::{Envelope, SessionRevoked};
use contract::id::{SessionId, UserId};
use contract::keys::{KeysInUse, MONGODB, RABBITMQ, REDIS};
use futures::TryStreamExt as _;
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use mongodb::bson::{Document, doc};
use operator::build::{Component, Prepared, Resources};
use operator::observe::Observed;
use operator::provision::{State, mongodb as mongodb_set, rabbitmq as broker, redis as redis_servers};
use operator::secrets::rotation::{Kind, Ring as _, Testimony};
use operator::secrets::{Login, Names};
use operator::validate::Platform;
use runtime::config::{MongoDb, Redis};
use runtime::connect;
use runtime::messaging::{Connector, Consumer, ConsumerSettings, Outcome, Publisher};
use runtime::shutdown::Shutdown;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{run, start, word};

const LIMIT: Duration = Duration::from_mins(3);

/// The three servers of a platform.
struct Servers {
    mongodb: servers::MongoDb,
    redis: servers::Redis,
    rabbitmq: servers::RabbitMq,
}

impl Servers {
    async fn start(platform: &Platform, resources: &Resources<Prepared>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = platform.material.mongodb.own().unwrap().key_file.expose_secret().to_owned();
        let acl = value(resources, "acme-redis", "users.acl");
        let servers = tokio::task::spawn_blocking(move || Self {
            mongodb: servers::MongoDb::start_with_key_file(&key).unwrap(),
            redis: servers::Redis::start_with_users(&acl).unwrap(),
            rabbitmq: servers::RabbitMq::start().unwrap(),
        });
        let servers = servers.await.unwrap();
        let definitions: Value = serde_json::from_str(&value(resources, "acme-rabbitmq", "definitions.json")).unwrap();
        let imported = reqwest::Client::new()
            .post(format!("{}/api/definitions", servers.rabbitmq.management_url()))
            .basic_auth("admin", Some("admin"))
            .json(&definitions);
        assert!(imported.send().await.unwrap().status().is_success());
        servers
    }

    /// Makes them agree; answers what they accept by then.
    async fn provision(&self, platform: &Platform) -> BTreeMap<Component, Vec<String>> {
        let material = &platform.material;
        let credentials = &material.credentials;
        let mongodb = mongodb_set::Target {
            replica_set: Names::REPLICA_SET.to_owned(),
            members: vec![self.mongodb.address()],
            leaving: vec![],
            key_file: material.mongodb.own().unwrap().key_file.clone(),
            users: credentials.accepted(Component::MongoDb),
            refused: credentials.refused(Component::MongoDb),
            authority: None,
            certificate: None,
            step_down: None,
            established: false,
        };
        let mut redis = redis_servers::Target::new(&platform.names, material.redis.own().unwrap(), credentials);
        let address = self.redis.address();
        let (host, port) = address.rsplit_once(':').unwrap();
        (redis.servers[0].host, redis.servers[0].port) = (host.to_owned(), port.parse().unwrap());
        let mut rabbitmq = broker::Target::new(&platform.names, material.rabbitmq.own().unwrap(), credentials);
        rabbitmq.management_url = self.rabbitmq.management_url();
        rabbitmq.nodes = vec!["rabbit@localhost".to_owned()];
        let agreed: [(Component, State); 3] = [
            (Component::MongoDb, mongodb_set::provision(&mongodb).await.unwrap()),
            (Component::Redis, redis_servers::provision(&redis).await.unwrap()),
            (Component::RabbitMq, broker::provision(&rabbitmq).await.unwrap()),
        ];
        let generations: Vec<String> = credentials.ids().into_iter().map(str::to_owned).collect();
        let agreed = agreed.into_iter().filter(|(_, state)| state.users_agree);
        agreed.map(|(component, _)| (component, generations.clone())).collect()
    }

    /// A connection string of the cluster, as it leads to these servers.
    fn here(&self, key: &str, uri: &str) -> String {
        let (scheme, rest) = uri.split_once("://").unwrap();
        let (user, rest) = rest.split_once('@').unwrap();
        let path = rest.split_once('/').unwrap().1;
        match key {
            "mongodb-uri" => {
                let database = path.split('?').next().unwrap();
                format!("{scheme}://{user}@{}/{database}?replicaSet=rs0&authSource=admin", self.mongodb.address())
            }
            "redis-url" => format!("{scheme}://{user}@{}/{path}", self.redis.address()),
            _ => format!("{scheme}://{user}@{}/{path}", self.rabbitmq.address()),
        }
    }

    /// Who of these is let in.
    async fn accepts(&self, component: Component, login: &Login) -> bool {
        let (user, password) = (&login.user, login.password.expose_secret());
        match component {
            Component::MongoDb => {
                let uri = format!("mongodb://{user}:{password}@{}/?authSource=admin", self.mongodb.address());
                let client = mongodb::Client::with_uri_str(uri).await.unwrap();
                client.database("admin").run_command(doc! {"ping": 1}).await.is_ok()
            }
            Component::Redis => {
                let client = redis::Client::open(self.redis.url_for(user, password)).unwrap();
                client.get_multiplexed_async_connection().await.is_ok()
            }
            _ => {
                let uri = format!("amqp://{user}:{password}@{}/chatplatform", self.rabbitmq.address());
                let properties = lapin::ConnectionProperties::default();
                lapin::Connection::connect(&uri, properties).await.is_ok()
            }
        }
    }
}

fn value(resources: &Resources<Prepared>, secret: &str, key: &str) -> String {
    let secret = resources.secrets.iter().find(|found| found.metadata.name.as_deref() == Some(secret)).unwrap();
    String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap()
}

/// A pod of a service, as far as it is connected.
struct Service {
    component: Component,
    folder: TempDir,
    connections: Connections,
}

/// What a service is connected to.
#[derive(Clone)]
struct Connections {
    name: &'static str,
    database: Option<connect::Database>,
    redis: Option<connect::Redis>,
    broker: Option<Connector>,
    publisher: Option<Publisher>,
}

impl Service {
    async fn start(component: Component, servers: &Servers, resources: &Resources<Prepared>) -> Self {
        let name = component.name();
        let connections = Connections { name, database: None, redis: None, broker: None, publisher: None };
        let mut service = Self { component, folder: tempfile::tempdir().unwrap(), connections };
        service.mount(servers, resources);
        let file = |name: &str| Some(service.folder.path().join(name)).filter(|file| file.exists());
        let connections = &mut service.connections;
        if let Some(uri_file) = file("mongodb-uri") {
            let settings = MongoDb { uri_file, database: name.to_owned() };
            connections.database = Some(connect::mongodb(&settings).await.unwrap());
        }
        if let Some(url_file) = file("redis-url") {
            connections.redis = Some(connect::redis(&Redis { url_file, authority_file: None }).unwrap());
        }
        connections.broker = file("rabbitmq-uri").map(|file| Connector::new(file, name));
        connections.publisher = connections.broker.clone().filter(|_| name == "auth").map(Publisher::new);
        service
    }

    /// Brings the files of its Secret.
    fn mount(&self, servers: &Servers, resources: &Resources<Prepared>) {
        let name = format!("acme-{}", self.component.name());
        let secret = resources.secrets.iter().find(|secret| secret.metadata.name.as_ref() == Some(&name)).unwrap();
        // A volume's files are exchanged all at once; here what names the generation is the last of them.
        let (last, uris): (Vec<_>, Vec<_>) =
            secret.data.as_ref().unwrap().iter().partition(|(key, _)| *key == "credentials");
        for (key, ByteString(value)) in uris.into_iter().chain(last) {
            let text = String::from_utf8(value.clone()).unwrap();
            let is_uri = ["mongodb-uri", "redis-url", "rabbitmq-uri"].contains(&key.as_str());
            let text = if is_uri { servers.here(key, &text) } else { text };
            fs::write(self.folder.path().join(key), text).unwrap();
        }
    }

    fn says(&self) -> Testimony {
        let Connections { name, database, redis, broker, .. } = &self.connections;
        let mut keys = KeysInUse::new();
        if let Some(database) = database {
            keys.insert(MONGODB.to_owned(), database.credentials_in_use());
        }
        if let Some(redis) = redis {
            keys.insert(REDIS.to_owned(), redis.credentials_in_use());
        }
        if let Some(broker) = broker {
            keys.insert(RABBITMQ.to_owned(), broker.credentials_in_use());
        }
        Testimony { component: self.component, pod: format!("acme-{name}-1"), born: start(), said: Ok(keys) }
    }
}

impl Connections {
    /// Asks something of each server; what fails is told with who it was.
    async fn work(&self) -> Result<(), String> {
        let Self { name, database, redis, broker, publisher } = self;
        if let Some(database) = database {
            let things = database.collection::<Document>("things");
            let said = |error: mongodb::error::Error| format!("MongoDB of {name}: {error}");
            things.now().insert_one(doc! {"by": *name}).await.map_err(said)?;
            let things = things.now();
            let found = things.find(doc! {}).batch_size(10).limit(30).await.map_err(said)?;
            found.try_collect::<Vec<_>>().await.map_err(said)?;
        }
        if let Some(redis) = redis {
            let mut count = redis::cmd("INCR");
            let counted = count.arg(format!("{name}:count")).query_async::<()>(&mut redis.clone()).await;
            counted.map_err(|error| format!("Redis of {name}: {error}"))?;
        }
        if let Some(publisher) = publisher {
            let (user_id, session_id) = (UserId::generate(), SessionId::generate());
            let event = SessionRevoked { user_id, session_id, reason: None };
            let event = Envelope::new("auth", event.into(), None, start(), &mut rand::rng());
            publisher.publish(&event).await.map_err(|error| format!("RabbitMQ of {name}: {error}"))?;
        } else if let Some(broker) = broker {
            broker.ping().await.map_err(|error| format!("RabbitMQ of {name}: {error}"))?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_rotate_at_every_server_while_every_service_works_and_the_old_ones_are_refused() {
    let (mut platform, mut resources) = run(&json!({}), &Observed::default(), start());
    let servers = Servers::start(&platform, &resources).await;
    let deadline = Instant::now() + LIMIT;
    let mut accepted = servers.provision(&platform).await;
    while accepted.len() < 3 {
        assert!(Instant::now() < deadline, "only {accepted:?} agree");
        accepted = servers.provision(&platform).await;
    }
    let mut services = Vec::new();
    for component in super::READERS {
        services.push(Service::start(component, &servers, &resources).await);
    }
    let heard = Arc::new(AtomicU64::new(0));
    let shutdown = Shutdown::new();
    let notified = services.iter().find(|service| service.component == Component::Notification).unwrap();
    let settings = ConsumerSettings::new("notification.events", &["session.revoked"]);
    let consuming =
        tokio::spawn(Consumer::new(notified.connections.broker.clone().unwrap(), settings).run(shutdown.clone(), {
            let heard = Arc::clone(&heard);
            move |_| {
                heard.fetch_add(1, Ordering::Relaxed);
                async { Outcome::Ack }
            }
        }));
    let worked = Arc::new(AtomicU64::new(0));
    let mut at_work = JoinSet::new();
    for service in &services {
        let (worked, over, connections) = (Arc::clone(&worked), shutdown.clone(), service.connections.clone());
        at_work.spawn(async move {
            while !over.soft().is_cancelled() {
                connections.work().await?;
                worked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok::<_, String>(())
        });
    }

    let before = platform.material.credentials.clone();
    let rotation = json!({"credentials": {"revision": 1}});
    let mut steps = Vec::new();
    let mut round = 0;
    while steps.last() != Some(&"Current") {
        round += 1;
        let observed = Observed {
            secrets: resources.secrets.clone(),
            config_maps: resources.config_maps.clone(),
            keys: services.iter().map(Service::says).collect(),
            accepted: accepted.clone(),
            ..Observed::default()
        };
        let message = platform.rotation.last().and_then(operator::secrets::rotation::Progress::message);
        assert!(Instant::now() < deadline, "after {steps:?}: {message:?}");
        (platform, resources) = run(&rotation, &observed, start() + SignedDuration::from_secs(5 * round));
        steps.push(word(&platform, Kind::Credentials));
        for service in &services {
            service.mount(&servers, &resources);
        }
        accepted = servers.provision(&platform).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    steps.dedup();
    assert_eq!(steps, ["Spread", "Switch", "Prove", "Retire", "Refuse", "Current"]);
    assert_eq!(platform.material.credentials.ids(), ["cr-2"]);
    for component in [Component::MongoDb, Component::Redis, Component::RabbitMq] {
        for login in before.accepted(component) {
            assert!(!servers.accepts(component, &login).await, "{} is let in by {}", login.user, component.name());
        }
        for login in platform.material.credentials.accepted(component) {
            assert!(servers.accepts(component, &login).await, "{} is refused by {}", login.user, component.name());
        }
    }
    let (worked_before, heard_before) = (worked.load(Ordering::Relaxed), heard.load(Ordering::Relaxed));
    while worked.load(Ordering::Relaxed) < worked_before + 50 || heard.load(Ordering::Relaxed) < heard_before + 5 {
        assert!(Instant::now() < deadline, "nothing goes on: {at_work:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shutdown.soft().cancel();
    for outcome in at_work.join_all().await {
        assert_eq!(outcome, Ok(()));
    }
    consuming.await.unwrap();
}
