//! The notification service: tells people in the client and by e-mail of what they missed.

pub mod absence;
pub mod consumer;
pub mod contact;
pub mod counters;
pub mod email;
pub mod http;
mod service;
pub mod settings;
pub mod state;
pub mod store;

pub use service::service;
