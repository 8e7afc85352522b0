//! Where files live: their bytes in the object store, what is known of them in `MongoDB`.

mod avatars;
pub mod files;
mod migrations;

pub use avatars::Avatars;
pub use files::Files;
pub use migrations::MIGRATIONS;
