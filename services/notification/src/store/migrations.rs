//! The forms that the database has had, by the steps between them.

use runtime::{idempotency, migrations::Migration};

use super::{Devices, Letters, Notifications, ReadMarks};

/// The steps, in order. A name never changes, and a step that was in a release stays as it is.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "indexes",
        run: |database| {
            Box::pin(async move {
                Notifications::new(&database).prepare().await?;
                Ok(Letters::new(&database).prepare().await?)
            })
        },
    },
    Migration {
        name: "push",
        run: |database| {
            Box::pin(async move {
                Notifications::new(&database).prepare_push().await?;
                Ok(Devices::new(&database).prepare().await?)
            })
        },
    },
    Migration {
        name: "read-marks",
        run: |database| Box::pin(async move { Ok(ReadMarks::new(&database).prepare().await?) }),
    },
    idempotency::MIGRATION,
];
