//! The notification service: tells people in the client and by e-mail of what they missed.

pub mod absence;
pub mod app;
pub mod consumer;
pub mod contact;
pub mod counters;
pub mod email;
pub mod http;
pub mod settings;
pub mod state;
pub mod store;
