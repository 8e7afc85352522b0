//! Putting the service together: settings and a clock in, a service that can be run out.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use runtime::clock::Clock;
use runtime::config::Section as _;
use runtime::connect::{self, ConnectError};
use runtime::health::Health;
use runtime::identity::TokenVerifier;
use runtime::messaging::Publisher;
use runtime::outbox::Relay;
use runtime::service::Service;
use runtime::watched::WatchedError;

use crate::lockout::Lockout;
use crate::password::{Hasher, HasherError};
use crate::registration::Registrar;
use crate::revocations::Revocations;
use crate::sessions::Sessions;
use crate::settings::Settings;
use crate::state::AppState;
use crate::store::Store;
use crate::tokens::access::Issuer;
use crate::tokens::signer::Signer;
use crate::{SERVICE, http};

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A connection cannot be described.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A key file cannot be used.
    #[error(transparent)]
    Keys(#[from] WatchedError),
    /// Argon2 does not work.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// A setting that was checked is gone.
    #[error("the settings are at fault: {0:?}")]
    Settings(Vec<runtime::config::Fault>),
}

/// The service, with its routes, health checks and tasks. It does not wait for its servers: it is not ready before they
/// answer.
pub async fn service(settings: &Settings, clock: Clock) -> Result<Service, StartError> {
    let signing_keys = settings.tokens.signing_keys_file.as_ref();
    let signing_keys = signing_keys.ok_or_else(|| StartError::Settings(settings.faults()))?;
    let issuer = Issuer { issuer: settings.tokens.issuer.clone(), audience: settings.tokens.audience.clone() };
    let signer = Signer::load(issuer, signing_keys, &settings.tokens.jwks_file)?;
    let verifier = TokenVerifier::new(&settings.tokens, clock.clone())?;
    let hasher = Hasher::new(available_parallelism().unwrap_or(NonZeroUsize::MIN))?;

    let database = connect::mongodb(&settings.mongodb).await?;
    let redis = connect::redis(&settings.redis)?;
    let store = Store::new(&database);
    let publisher = Publisher::new(connect::rabbitmq(&settings.rabbitmq, SERVICE));
    let registered = Relay::new(&store.users.collection(), publisher.clone(), clock.clone());
    let revoked = Relay::new(&store.sessions.collection(), publisher, clock.clone());

    let revocations = Revocations::new(redis.clone(), store.sessions.clone());
    let sessions = Sessions::new(store.sessions.clone(), revocations.clone(), revoked.waker(), clock.clone());
    let registrar = Registrar {
        users: store.users.clone(),
        hasher: hasher.clone(),
        events: registered.waker(),
        clock: clock.clone(),
    };
    let state = AppState {
        registrar,
        users: store.users.clone(),
        sessions,
        hasher,
        lockout: Lockout::new(redis.clone()),
        signer,
        verifier,
        clock,
    };

    // RabbitMQ is no condition of being ready: events wait in the outbox until it is back.
    let prepared = store.clone();
    let health = Health::new()
        .check("mongodb", move || {
            let (database, prepared) = (database.clone(), prepared.clone());
            async move {
                connect::ping_mongodb(&database).await?;
                if prepared.is_prepared() { Ok(()) } else { Err("its indexes are being made".to_owned()) }
            }
        })
        .check("redis", move || {
            let redis = redis.clone();
            async move { connect::ping_redis(&redis).await }
        });
    let service = Service::new(SERVICE, &settings.server);
    let shutdown = service.shutdown();
    Ok(service
        .router(http::router(state))
        .health(health)
        .task("indexes", prepare(store, shutdown.soft().clone()))
        .task("revocations", revocations.sweep(shutdown.soft().clone()))
        .task("outbox-users", registered.run(shutdown.clone()))
        .task("outbox-sessions", revoked.run(shutdown)))
}

/// Makes the indexes as soon as the database lets it.
async fn prepare(store: Store, stop: tokio_util::sync::CancellationToken) {
    const PAUSE: Duration = Duration::from_secs(1);
    while let Err(error) = store.prepare().await {
        tracing::warn!(%error, "the indexes could not be made yet");
        if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}
