//! The service put together.

use std::sync::Arc;

use anyhow::Context as _;
use jiff::SignedDuration;
use lettre::message::Mailbox;
use runtime::{
    clock::Clock, connect, health::Health, identity::TokenVerifier, messaging::Consumer, metrics::Metrics, migrations,
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
    store::{Contacts, Letters, MIGRATIONS, Notifications},
};

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
    let (migrating, migrated) = migrations::at_start(database.clone(), MIGRATIONS, shutdown.soft().clone());
    let form = migrated.clone();
    let health = Health::new()
        .check("mongodb", move || {
            let (database, migrated) = (database.clone(), migrated.clone());
            async move {
                connect::ping_mongodb(&database).await?;
                migrated.check()
            }
        })
        .check("rabbitmq", {
            let broker = broker.clone();
            move || {
                let broker = broker.clone();
                async move { broker.ping().await }
            }
        });

    let keys = tokens.key_rings();
    let state = AppState { tokens, notifications, clock };
    let consuming = {
        let shutdown = shutdown.clone();
        async move {
            // Storing relies on the unique index, so nothing is consumed before it is there.
            if shutdown.soft().run_until_cancelled(form.reached()).await.is_some() {
                let handle = move |envelope| {
                    let handler = handler.clone();
                    async move { handler.handle(envelope).await }
                };
                Consumer::new(broker.clone(), consumer::settings()).run(shutdown, handle).await;
            }
            broker.close().await;
        }
    };
    let service = service
        .router(http::router(state))
        .health(health)
        .metrics(metrics)
        .keys(keys)
        .task("migrations", migrating)
        .task("consumer", consuming);
    Ok(match delivery {
        Some(delivery) => service.task("e-mail", delivery.run(shutdown.soft().clone())),
        None => service,
    })
}
