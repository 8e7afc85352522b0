//! The service put together.

use std::sync::Arc;

use anyhow::Context as _;
use contract::keys::{MONGODB, RABBITMQ};
use jiff::SignedDuration;
use lettre::message::Mailbox;
use runtime::{
    clock::Clock, connect, health::Health, idempotency::Idempotency, identity::TokenVerifier, messaging::Consumer,
    metrics::Metrics, migrations, program::Assembly, service::Service, watched::Watched,
};
use tokio::sync::Notify;

use crate::{
    consumer::{self, Handler},
    counters::Counters,
    delivery::Workers,
    email::{channel::Email, letter::Letterhead, mailer::Mailer},
    http,
    push::{channel::Push, credentials::ServiceAccount, fcm::Fcm, standing::Standing},
    settings::Settings,
    state::AppState,
    store::{Contacts, Devices, Letters, MIGRATIONS, Notifications, Preferences, ReadMarks},
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
    let stores = Stores::of(&database);
    let counters = Counters::registered(&metrics);
    let bell = Arc::new(Notify::new());

    let handler = Handler {
        notifications: stores.notifications.clone(),
        contacts: stores.contacts.clone(),
        letters: stores.letters.clone(),
        devices: stores.devices.clone(),
        preferences: stores.preferences.clone(),
        read_marks: stores.read_marks.clone(),
        by_email: settings.email.host.is_some(),
        by_push: settings.push.project_id.is_some(),
        clock: clock.clone(),
        counters: counters.clone(),
        bell: Arc::clone(&bell),
    };
    let email = email(settings, &stores, &clock)?
        .map(|email| Workers::new(email, clock.clone(), counters.email.clone(), Arc::clone(&bell)));
    let standing = Standing::default();
    let push = push(settings, &stores, &clock, &counters, &standing)?
        .map(|push| Workers::new(push, clock.clone(), counters.push.clone(), bell));
    let (migrating, migrated) = migrations::at_start(database.clone(), MIGRATIONS, shutdown.soft().clone());
    let form = migrated.clone();
    let idempotency = Idempotency::new(&database, tokens.clone(), clock.clone());
    let credentials = database.clone();
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

    let health = if push.is_none() {
        health
    } else {
        let clock = clock.clone();
        health.inform("push", move || std::future::ready(standing.check(clock.now())))
    };

    let keys = tokens.key_rings().with(MONGODB, move || credentials.credentials_in_use()).with(RABBITMQ, {
        let broker = broker.clone();
        move || broker.credentials_in_use()
    });
    let Stores { notifications, devices, preferences, .. } = stores;
    let state = AppState { tokens, notifications, devices, preferences, clock };
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
        .router(http::router(state, idempotency))
        .health(health)
        .metrics(metrics)
        .keys(keys)
        .task("migrations", migrating)
        .task("consumer", consuming);
    let service = match email {
        Some(workers) => service.task("e-mail", workers.run(settings.email.connections, shutdown.soft().clone())),
        None => service,
    };
    Ok(match push {
        Some(workers) => service.task("push", workers.run(settings.push.workers, shutdown.soft().clone())),
        None => service,
    })
}

/// What the service remembers.
struct Stores {
    notifications: Notifications,
    contacts: Contacts,
    letters: Letters,
    devices: Devices,
    preferences: Preferences,
    read_marks: ReadMarks,
}

impl Stores {
    fn of(database: &connect::Database) -> Self {
        Self {
            notifications: Notifications::new(database),
            contacts: Contacts::new(database),
            letters: Letters::new(database),
            devices: Devices::new(database),
            preferences: Preferences::new(database),
            read_marks: ReadMarks::new(database),
        }
    }
}

/// The way by e-mail, if there is one.
fn email(settings: &Settings, stores: &Stores, clock: &Clock) -> anyhow::Result<Option<Email>> {
    let (Some(host), Some(from)) = (&settings.email.host, &settings.email.from) else { return Ok(None) };
    Ok(Some(Email {
        notifications: stores.notifications.clone(),
        letters: stores.letters.clone(),
        contacts: stores.contacts.clone(),
        preferences: stores.preferences.clone(),
        mailer: Mailer::new(host, &settings.email),
        letterhead: Letterhead {
            from: from.parse::<Mailbox>().context("email.from is not an address")?,
            web_url: settings.web.url.clone(),
        },
        give_up_after: SignedDuration::from_hours(settings.email.give_up_hours.into()),
        clock: clock.clone(),
    }))
}

/// The way to devices, if there is one.
fn push(
    settings: &Settings,
    stores: &Stores,
    clock: &Clock,
    counters: &Counters,
    standing: &Standing,
) -> anyhow::Result<Option<Push>> {
    let (Some(project), Some(file)) = (&settings.push.project_id, &settings.push.credentials_file) else {
        return Ok(None);
    };
    let account = Watched::load(file, ServiceAccount::parse)?;
    Ok(Some(Push {
        notifications: stores.notifications.clone(),
        devices: stores.devices.clone(),
        contacts: stores.contacts.clone(),
        preferences: stores.preferences.clone(),
        fcm: Fcm::new(project, &settings.push, account, clock.clone()).context("no HTTPS for push")?,
        web_url: settings.web.url.clone(),
        give_up_after: SignedDuration::from_mins(settings.push.give_up_minutes.into()),
        standing: standing.clone(),
        clock: clock.clone(),
        counters: counters.clone(),
    }))
}
