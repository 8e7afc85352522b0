//! The notification service: tells people in the client, by e-mail and on their devices of what they missed.

pub mod absence;
pub mod consumer;
pub mod contact;
pub mod counters;
pub mod delivery;
pub mod email;
mod headline;
pub mod http;
pub mod preferences;
pub mod push;
mod service;
pub mod settings;
pub mod state;
pub mod store;

pub use service::service;
