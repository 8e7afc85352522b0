//! The forms that the database has had, by the steps between them.

use runtime::{idempotency, migrations::Migration};

use super::Store;

/// The steps, in order. A name never changes, and a step that was in a release stays as it is.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "indexes",
        run: |database| Box::pin(async move { Ok(Store::new(&database).make_indexes().await?) }),
    },
    idempotency::MIGRATION,
];
