//! The service put together.

use contract::keys::{MONGODB, RABBITMQ};
use runtime::{
    clock::Clock,
    connect,
    health::Health,
    identity::TokenVerifier,
    messaging::{Connector, Consumer},
    migrations,
    objects::Objects,
    program::Assembly,
    service::Service,
    shutdown::Shutdown,
};

use crate::{
    accounts::{self, Accounts},
    http,
    orphans::Orphans,
    settings::Settings,
    state::AppState,
    store::{Avatars, Files, MIGRATIONS},
};

/// The service under `settings`. Nothing has to be there yet: it becomes ready when its servers answer.
#[must_use]
pub fn service(settings: &Settings, clock: Clock) -> Assembly<'_> {
    Box::pin(assemble(settings, clock))
}

async fn assemble(settings: &Settings, clock: Clock) -> anyhow::Result<Service> {
    let database = connect::mongodb(&settings.mongodb).await?;
    let (client, bucket) = connect::object_storage(&settings.object_storage)?;
    let (files, objects) = (Files::new(&database), Objects::new(&client, bucket));
    let avatars = Avatars::new(&database);
    let broker = connect::rabbitmq(&settings.rabbitmq, "media");
    let tokens = TokenVerifier::new(&settings.tokens, clock.clone())?;
    let keys = tokens
        .key_rings()
        .with(MONGODB, {
            let database = database.clone();
            move || database.credentials_in_use()
        })
        .with(RABBITMQ, {
            let broker = broker.clone();
            move || broker.credentials_in_use()
        });

    let service = Service::new("media", &settings.server);
    let shutdown = service.shutdown();
    let (migrating, migrated) = migrations::at_start(database.clone(), MIGRATIONS, shutdown.soft().clone());
    let accounts = Accounts { files: files.clone(), objects: objects.clone(), avatars: avatars.clone() };
    let consuming = consume(broker, migrated.clone(), accounts, shutdown.clone());
    let orphans = Orphans::new(files.clone(), objects.clone(), &settings.orphans, clock.clone());
    let collecting = orphans.run(shutdown.soft().clone());
    let state = AppState::new(tokens, (files, avatars), objects.clone(), &settings.upload, clock, shutdown);
    let health = Health::new()
        .check("mongodb", move || {
            let (database, migrated) = (database.clone(), migrated.clone());
            async move {
                connect::ping_mongodb(&database).await?;
                migrated.check()
            }
        })
        .check("object-storage", move || {
            let objects = objects.clone();
            async move { objects.check().await }
        });
    Ok(service
        .router(http::router(state))
        .health(health)
        .keys(keys)
        .task("migrations", migrating)
        .task("accounts", consuming)
        .task("orphans", collecting))
}

/// Hears of accounts, once the database has its form.
async fn consume(broker: Connector, form: migrations::Progress, accounts: Accounts, shutdown: Shutdown) {
    if shutdown.soft().run_until_cancelled(form.reached()).await.is_some() {
        let handle = move |envelope| {
            let accounts = accounts.clone();
            async move { accounts.handle(envelope).await }
        };
        Consumer::new(broker.clone(), accounts::settings()).run(shutdown, handle).await;
    }
    broker.close().await;
}
