//! The auth service: accounts, sessions and the tokens that prove them.
//!
//! `http` is the way in, `store` is the way out, and what is between holds the rules, a file for each noun: accounts and their
//! `registration`, `credentials`, `second_step`, `addresses`, `passwords`, `sessions`, `people`, `administration`, `audit`.
//! `command` is what somebody with access to the cluster may run.

pub mod accounts;
pub mod addresses;
pub mod administration;
pub mod audit;
pub mod command;
pub mod credentials;
pub mod events;
pub mod http;
pub mod lockout;
pub mod one_time;
pub mod password;
pub mod passwords;
pub mod people;
pub mod registration;
pub mod revocations;
pub mod second_step;
mod service;
pub mod sessions;
pub mod settings;
pub mod state;
pub mod store;
pub mod tokens;

pub use service::service;

/// Name of the service, in its logs, its events and its database.
pub const SERVICE: &str = "auth";
