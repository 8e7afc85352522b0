//! Where files live: their bytes in the object store, what is known of them in `MongoDB`.

pub mod files;
mod migrations;

pub use files::Files;
pub use migrations::MIGRATIONS;
