//! The service put together.

use std::time::Duration;

use runtime::{clock::Clock, connect, health::Health, identity::TokenVerifier, program::Assembly, service::Service};

use crate::{
    http,
    settings::Settings,
    state::AppState,
    store::{Files, Objects},
};

/// How long to wait before the indexes are tried again.
const INDEX_PAUSE: Duration = Duration::from_secs(2);

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

    let service = Service::new("media", &settings.server);
    let shutdown = service.shutdown();
    let state = AppState::new(tokens, files.clone(), objects.clone(), &settings.upload, clock, shutdown.clone());
    let health = Health::new()
        .check("mongodb", move || {
            let database = database.clone();
            async move { connect::ping_mongodb(&database).await }
        })
        .check("object-storage", move || {
            let objects = objects.clone();
            async move { objects.check().await }
        });
    let indexes = async move {
        // Nothing depends on it: the stop need not wait.
        let _ = shutdown.soft().run_until_cancelled(prepare(files)).await;
    };
    Ok(service.router(http::router(state)).health(health).task("indexes", indexes))
}

/// Makes the indexes, as soon as the database answers. The service works without them, only slower.
async fn prepare(files: Files) {
    while let Err(error) = files.prepare().await {
        tracing::warn!(%error, "indexes cannot be made yet");
        tokio::time::sleep(INDEX_PAUSE).await;
    }
}
