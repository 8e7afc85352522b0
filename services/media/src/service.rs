//! The service put together.

use runtime::{
    clock::Clock, connect, health::Health, identity::TokenVerifier, migrations, objects::Objects, program::Assembly,
    service::Service,
};

use crate::{
    http,
    settings::Settings,
    state::AppState,
    store::{Files, MIGRATIONS},
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
    let tokens = TokenVerifier::new(&settings.tokens, clock.clone())?;
    let keys = tokens.key_rings();

    let service = Service::new("media", &settings.server);
    let shutdown = service.shutdown();
    let (migrating, migrated) = migrations::at_start(database.clone(), MIGRATIONS, shutdown.soft().clone());
    let state = AppState::new(tokens, files, objects.clone(), &settings.upload, clock, shutdown);
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
    Ok(service.router(http::router(state)).health(health).keys(keys).task("migrations", migrating))
}
