//! The media service: takes files in, keeps them in an S3 store, gives them back to whoever may have them.

pub mod accounts;
pub mod content_type;
pub mod entity_tag;
pub mod file;
pub mod filename;
pub mod http;
pub mod object_key;
pub mod orphans;
pub mod range;
mod service;
pub mod settings;
pub mod state;
pub mod store;
pub mod upload;

pub use service::service;
