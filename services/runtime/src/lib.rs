//! What every service needs to run: settings, logs, metrics, health, a graceful stop, connections to the servers,
//! verified identities, messaging with confirms, and the outbox.
//!
//! A service's `main` reads as: load the settings, start telemetry, connect, build the router, and hand all of it to
//! [`service::Service`].

pub mod clock;
pub mod config;
pub mod connect;
pub mod extract;
pub mod health;
pub mod identity;
pub mod messaging;
pub mod metrics;
pub mod outbox;
pub mod problem;
pub mod service;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
pub mod watched;
