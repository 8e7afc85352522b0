//! Where files live: their bytes in the object store, what is known of them in `MongoDB`.

pub mod files;
pub mod objects;
pub mod writer;

pub use files::Files;
pub use objects::Objects;
