//! The auth service: accounts, sessions and the tokens that prove them.
//!
//! `http` is the way in, `registration`, `sessions`, `people` and `lockout` hold the rules, `store` is the way out.

pub mod accounts;
pub mod http;
pub mod lockout;
pub mod password;
pub mod people;
pub mod registration;
pub mod revocations;
mod service;
pub mod sessions;
pub mod settings;
pub mod state;
pub mod store;
pub mod tokens;

pub use service::service;

/// Name of the service, in its logs, its events and its database.
pub const SERVICE: &str = "auth";
