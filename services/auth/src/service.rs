//! The service put together.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use anyhow::Context as _;
use contract::keys::{KeyUse, MONGODB, RABBITMQ, REDIS, SIGNING};
use runtime::clock::Clock;
use runtime::connect;
use runtime::health::Health;
use runtime::identity::TokenVerifier;
use runtime::messaging::Publisher;
use runtime::migrations;
use runtime::outbox::Relay;
use runtime::program::Assembly;
use runtime::service::Service;
use runtime::watched::Watched;

use crate::addresses::Addresses;
use crate::administration::Administration;
use crate::credentials::Credentials;
use crate::events::Events;
use crate::lockout::Lockout;
use crate::password::Hasher;
use crate::passwords::Passwords;
use crate::registration::Registrar;
use crate::revocations::Revocations;
use crate::second_step::SecondSteps;
use crate::second_step::sealing::KeyRing;
use crate::sessions::Sessions;
use crate::settings::Settings;
use crate::state::AppState;
use crate::store::{MIGRATIONS, Store};
use crate::tokens::access::Issuer;
use crate::tokens::signer::Signer;
use crate::{SERVICE, http};

/// The service, with its routes, health checks and tasks. It does not wait for its servers: it is not ready before they
/// answer.
#[must_use]
pub fn service(settings: &Settings, clock: Clock) -> Assembly<'_> {
    Box::pin(assemble(settings, clock))
}

async fn assemble(settings: &Settings, clock: Clock) -> anyhow::Result<Service> {
    let signing_keys = settings.tokens.signing_keys_file.as_ref().context("tokens.signing_keys_file is not set")?;
    let issuer = Issuer { issuer: settings.tokens.issuer.clone(), audience: settings.tokens.audience.clone() };
    let signer = Signer::load(issuer, signing_keys, &settings.tokens.jwks_file)?;
    let verifier = TokenVerifier::new(&settings.tokens, clock.clone())?;
    let signing = signer.clone();
    let keys = verifier
        .key_rings()
        .with(SIGNING, move || KeyUse { current: Some(signing.current_key()), ..KeyUse::default() });
    let hasher = Hasher::new(available_parallelism().unwrap_or(NonZeroUsize::MIN))?;

    let database = connect::mongodb(&settings.mongodb).await?;
    let redis = connect::redis(&settings.redis)?;
    let store = Store::new(&database);
    let rabbitmq = connect::rabbitmq(&settings.rabbitmq, SERVICE);
    let publisher = Publisher::new(rabbitmq.clone());
    let told = Relay::new(&store.users.collection(), publisher.clone(), clock.clone());
    let revoked = Relay::new(&store.sessions.collection(), publisher, clock.clone());

    let revocations = Revocations::new(redis.clone(), store.sessions.clone());
    let sessions =
        Sessions::new(store.sessions.clone(), revocations.clone(), revoked.waker(), settings.sessions, clock.clone());
    let events = Events::new(told.waker(), clock.clone());
    let lockout = Lockout::new(redis.clone());
    let mail = settings.email.enabled;
    let addresses = Addresses::new(settings, &store, events.clone());
    let registrar = Registrar::new(settings, &store, hasher.clone(), events.clone());
    let second_steps = SecondSteps {
        users: store.users.clone(),
        keys: Watched::load(&settings.account_keys.file, KeyRing::parse)?,
        lockout: lockout.clone(),
        events: events.clone(),
        platform: host_of(&settings.tokens.issuer).to_owned(),
    };
    let passwords = Passwords {
        users: store.users.clone(),
        tokens: store.one_time.clone(),
        hasher: hasher.clone(),
        sessions: sessions.clone(),
        events: events.clone(),
        mail,
    };
    let administration = Administration {
        users: store.users.clone(),
        sessions: sessions.clone(),
        second_steps: second_steps.clone(),
        audit: store.audit.clone(),
        clock: clock.clone(),
    };
    let state = AppState {
        registrar,
        users: store.users.clone(),
        sessions,
        credentials: Credentials { users: store.users.clone(), hasher, lockout },
        second_steps,
        one_time: store.one_time.clone(),
        addresses,
        passwords,
        administration,
        events,
        signer,
        verifier,
        clock,
    };

    let keys = {
        let (database, redis) = (database.clone(), redis.clone());
        keys.with(MONGODB, move || database.credentials_in_use())
            .with(REDIS, move || redis.credentials_in_use())
            .with(RABBITMQ, move || rabbitmq.credentials_in_use())
    };
    let service = Service::new(SERVICE, &settings.server);
    let shutdown = service.shutdown();
    let (migrating, migrated) = migrations::at_start(database.clone(), MIGRATIONS, shutdown.soft().clone());
    // RabbitMQ is no condition of being ready: events wait in the outbox until it is back.
    let health = Health::new()
        .check("mongodb", move || {
            let (database, migrated) = (database.clone(), migrated.clone());
            async move {
                connect::ping_mongodb(&database).await?;
                migrated.check()
            }
        })
        .check("redis", move || {
            let redis = redis.clone();
            async move { connect::ping_redis(&redis).await }
        });
    Ok(service
        .router(http::router(state))
        .health(health)
        .keys(keys)
        .task("migrations", migrating)
        .task("revocations", revocations.sweep(shutdown.soft().clone()))
        .task("outbox-users", told.run(shutdown.clone()))
        .task("outbox-sessions", revoked.run(shutdown)))
}

/// The host of the platform's URL: what an authenticator app shows beside the account.
fn host_of(issuer: &str) -> &str {
    let host = issuer.split_once("://").map_or(issuer, |(_scheme, rest)| rest);
    host.split('/').next().unwrap_or(host)
}
