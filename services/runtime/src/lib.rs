//! What every service needs to run: settings, logs, metrics, health, a graceful stop, connections to the servers,
//! verified identities, messaging with confirms, and the outbox.
//!
//! A service puts itself together as a [`service::Service`]: it connects, builds its router, and hands both over with its health
//! checks and tasks. [`program::run`] is its `main`.

pub mod backoff;
pub mod clock;
pub mod config;
pub mod connect;
pub mod extract;
pub mod health;
pub mod idempotency;
pub mod identity;
pub mod keys;
pub mod lease;
pub mod messaging;
pub mod metrics;
pub mod migrations;
pub mod objects;
pub mod openapi;
pub mod outbox;
pub mod problem;
pub mod program;
pub mod service;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
pub mod watched;
