//! The forms that the database has had, by the steps between them.

use runtime::migrations::Migration;

use super::Files;

/// The steps, in order. A name never changes, and a step that was in a release stays as it is.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "indexes",
        run: |database| Box::pin(async move { Ok(Files::new(&database).make_indexes().await?) }),
    },
    Migration {
        name: "upload-keys",
        run: |database| Box::pin(async move { Ok(Files::new(&database).make_index_of_keys().await?) }),
    },
];
