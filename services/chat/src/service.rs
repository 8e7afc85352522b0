//! The service put together.

use contract::id::EventId;
use contract::keys::{MESSAGE, MONGODB, RABBITMQ, REDIS};
use futures::future::BoxFuture;
use runtime::clock::Clock;
use runtime::connect;
use runtime::health::Health;
use runtime::idempotency::Idempotency;
use runtime::identity::TokenVerifier;
use runtime::keys::KeyRings;
use runtime::messaging::{Connector, Consumer, Publisher};
use runtime::metrics::Metrics;
use runtime::migrations;
use runtime::outbox;
use runtime::program::Assembly;
use runtime::service::Service;
use runtime::shutdown::Shutdown;
use runtime::watched::Watched;
use tokio_util::sync::CancellationToken;

use crate::SOURCE;
use crate::conversations::Conversations;
use crate::crypto::{KeyRing, Keys};
use crate::departures::{self, Departures};
use crate::http;
use crate::messages::Messages;
use crate::names::Names;
use crate::realtime::{Attendance, Delivery, Events, Hub, Presence, Realtime, Revocations, fanout, inlet, layer};
use crate::rewrapping::Rewrapping;
use crate::search::{Feeding, Index, OpenSearch, keep_token_index};
use crate::settings::{Backend, Settings};
use crate::state::AppState;
use crate::store::{MIGRATIONS, Store};
use crate::turns::Turns;

/// The chat service, ready to run. It starts without its servers and becomes ready once they are there.
#[must_use]
pub fn service(settings: &Settings, clock: Clock) -> Assembly<'_> {
    Box::pin(assemble(settings, clock))
}

async fn assemble(settings: &Settings, clock: Clock) -> anyhow::Result<Service> {
    let shutdown = Shutdown::new();
    let metrics = Metrics::new();
    // A name of this process among the replicas, for as long as it runs.
    let replica = EventId::generate().to_string();

    let database = connect::mongodb(&settings.mongodb).await?;
    let redis = connect::redis(&settings.redis)?;
    let rabbitmq = connect::rabbitmq(&settings.rabbitmq, SOURCE);

    let verifier = TokenVerifier::new(&settings.tokens, clock.clone())?;
    let keys = Keys::new(Watched::load(&settings.message_keys.file, KeyRing::parse)?);
    let store = Store::new(&database);
    let publisher = Publisher::new(rabbitmq.clone());
    let message_outbox = outbox::Lanes::new(store.messages(), "conversationId", publisher.clone(), clock.clone());
    let conversation_outbox = outbox::Relay::new(store.conversations(), publisher, clock.clone());

    let hub = Hub::new(&metrics);
    let (inlet, outlet) = inlet();
    let (fanout, relay) = fanout(replica.clone(), inlet.clone());
    let presence = Presence::new(redis.clone(), replica.clone(), clock.clone());
    let revocations = Revocations::new(redis.clone(), hub.clone());
    let attendance = Attendance::new(presence.clone(), store.clone(), fanout.clone());
    let sockets = (hub.clone(), presence.clone());
    let delivery = Delivery::new(store.clone(), keys.clone(), sockets, clock.clone(), (inlet, outlet));

    let opensearch = match settings.search.backend {
        Backend::MongoDb => None,
        Backend::OpenSearch => Some(OpenSearch::new(&settings.search)?),
    };
    let index = Index::new(store.clone(), opensearch.clone());
    let names = Names::new(store.clone());
    let rewrapping = Rewrapping::new(store.clone(), keys.clone(), &metrics);
    let key_rings = verifier.key_rings().with(MESSAGE, rewrapping.key_use());
    let key_rings = with_credentials(key_rings, (database.clone(), redis.clone(), rabbitmq.clone()));
    let turns = Turns::default();
    let messages = Messages::new(
        (store.clone(), index),
        keys.clone(),
        (fanout.clone(), presence),
        message_outbox.waker(),
        clock.clone(),
        turns.clone(),
    );
    let conversations =
        Conversations::new(store.clone(), keys, fanout, conversation_outbox.waker(), clock.clone(), turns);

    let realtime = Realtime {
        verifier: verifier.clone(),
        revocations: revocations.clone(),
        attendance: attendance.clone(),
        hub,
        events: Events::new(conversations.clone(), messages.clone()),
        names: names.clone(),
        clock: clock.clone(),
    };
    // What serves the sockets goes on until the last of them is gone.
    let over = CancellationToken::new();
    let departures = Departures::new(conversations.clone(), names.clone());
    let idempotency = Idempotency::new(&database, verifier.clone(), clock.clone());
    let (sockets, end_of_sockets) = layer(realtime, &settings.sockets, shutdown.clone(), over.clone());
    let router = http::router(AppState { conversations, messages, names, verifier }, idempotency).layer(sockets);

    let (migrating, migrated) = migrations::at_start(database.clone(), MIGRATIONS, shutdown.soft().clone());
    let departing = consume(rabbitmq, migrated.clone(), departures, shutdown.clone());
    let health = Health::new()
        .check("mongodb", {
            let (database, migrated) = (database.clone(), migrated.clone());
            move || {
                let (database, migrated) = (database.clone(), migrated.clone());
                async move {
                    connect::ping_mongodb(&database).await?;
                    migrated.check()
                }
            }
        })
        .check("redis", {
            let redis = redis.clone();
            move || {
                let redis = redis.clone();
                async move { connect::ping_redis(&redis).await }
            }
        });
    // Whoever cannot search can chat all the same.
    let (health, searching): (_, BoxFuture<'static, ()>) = match opensearch {
        None => (health, Box::pin(keep_token_index(store, migrated, shutdown.clone()))),
        Some(opensearch) => {
            let feeding = Feeding::new((store, &database), opensearch.clone(), replica, clock, &metrics);
            (told_of(health, opensearch), Box::pin(feeding.run(migrated, shutdown.clone())))
        }
    };

    Ok(Service::new(SOURCE, &settings.server)
        .with_shutdown(shutdown.clone())
        .router(router)
        .health(health)
        .metrics(metrics)
        .keys(key_rings)
        .task("migrations", migrating)
        .task("departures", departing)
        .task("delivery", delivery.run(over.clone()))
        .task("rewrapping", rewrapping.run(shutdown.clone()))
        .task("fanout", relay.run(redis, revocations, over.clone()))
        .task("presence", attendance.run(over))
        .task("sockets", end_of_sockets)
        .task("search", searching)
        .task("outbox of messages", message_outbox.run(shutdown.clone()))
        .task("outbox of conversations", conversation_outbox.run(shutdown)))
}

/// Tells which credentials the connections to the servers are of.
fn with_credentials(
    rings: KeyRings,
    (database, redis, rabbitmq): (connect::Database, connect::Redis, Connector),
) -> KeyRings {
    rings
        .with(MONGODB, move || database.credentials_in_use())
        .with(REDIS, move || redis.credentials_in_use())
        .with(RABBITMQ, move || rabbitmq.credentials_in_use())
}

/// Says of `OpenSearch`, too, how it is.
fn told_of(health: Health, opensearch: OpenSearch) -> Health {
    health.inform("opensearch", move || {
        let opensearch = opensearch.clone();
        async move { opensearch.ping().await }
    })
}

/// Hears of accounts that are gone, once the database has its form.
async fn consume(rabbitmq: Connector, form: migrations::Progress, departures: Departures, shutdown: Shutdown) {
    if shutdown.soft().run_until_cancelled(form.reached()).await.is_some() {
        let handle = move |envelope| {
            let departures = departures.clone();
            async move { departures.handle(envelope).await }
        };
        Consumer::new(rabbitmq, departures::settings()).run(shutdown, handle).await;
    }
}
