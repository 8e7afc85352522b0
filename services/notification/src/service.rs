//! The service put together.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use jiff::SignedDuration;
use lettre::message::Mailbox;
use runtime::{
    clock::Clock, connect, health::Health, identity::TokenVerifier, messaging::Consumer, metrics::Metrics,
    program::Assembly, service::Service,
};
use tokio::sync::Notify;

use crate::{
    consumer::{self, Handler},
    counters::Counters,
    email::{delivery::Delivery, letter::Letterhead, mailer::Mailer},
    http,
    settings::Settings,
    state::AppState,
    store::{Contacts, Letters, Notifications},
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
    let broker = connect::rabbitmq(&settings.rabbitmq, "notification");
    let tokens = TokenVerifier::new(&settings.tokens, clock.clone())?;
    let metrics = Metrics::new();

    let service = Service::new("notification", &settings.server);
    let shutdown = service.shutdown();
    let notifications = Notifications::new(&database);
    let contacts = Contacts::new(&database);
    let letters = Letters::new(&database);
    let counters = Counters::registered(&metrics);
    let bell = Arc::new(Notify::new());

    let handler = Handler {
        notifications: notifications.clone(),
        contacts: contacts.clone(),
        letters: letters.clone(),
        by_email: settings.email.host.is_some(),
        clock: clock.clone(),
        counters: counters.clone(),
        bell: Arc::clone(&bell),
    };
    let delivery = match (&settings.email.host, &settings.email.from) {
        (Some(host), Some(from)) => Some(Delivery {
            notifications: notifications.clone(),
            letters: letters.clone(),
            contacts,
            mailer: Mailer::new(host, &settings.email),
            letterhead: Letterhead {
                from: from.parse::<Mailbox>().context("email.from is not an address")?,
                web_url: settings.web.url.clone(),
            },
            give_up_after: SignedDuration::from_hours(settings.email.give_up_hours.into()),
            workers: settings.email.connections,
            clock: clock.clone(),
            counters,
            bell,
        }),
        _ => None,
    };
    let health = Health::new()
        .check("mongodb", move || {
            let database = database.clone();
            async move { connect::ping_mongodb(&database).await }
        })
        .check("rabbitmq", {
            let broker = broker.clone();
            move || {
                let broker = broker.clone();
                async move { broker.ping().await }
            }
        });

    let state = AppState { tokens, notifications: notifications.clone(), clock };
    let consuming = {
        let shutdown = shutdown.clone();
        async move {
            // Storing relies on the unique index, so nothing is consumed before it is there.
            if shutdown.soft().run_until_cancelled(prepare(&notifications, &letters)).await.is_some() {
                let handle = move |envelope| {
                    let handler = handler.clone();
                    async move { handler.handle(envelope).await }
                };
                Consumer::new(broker.clone(), consumer::settings()).run(shutdown, handle).await;
            }
            broker.close().await;
        }
    };
    let service = service.router(http::router(state)).health(health).metrics(metrics).task("consumer", consuming);
    Ok(match delivery {
        Some(delivery) => service.task("e-mail", delivery.run(shutdown.soft().clone())),
        None => service,
    })
}

/// Makes the indexes, as soon as the database answers.
async fn prepare(notifications: &Notifications, letters: &Letters) {
    while let Err(error) = futures::try_join!(notifications.prepare(), letters.prepare()) {
        tracing::warn!(%error, "indexes cannot be made yet");
        tokio::time::sleep(INDEX_PAUSE).await;
    }
}
