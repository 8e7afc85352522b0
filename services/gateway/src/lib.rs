//! The gateway: the one way in for clients. It finds the route, tells who is calling, counts, and passes on.
//!
//! [`pipeline`] reads as the way of a request through it; each step has a file of its own.

pub mod affinity;
pub mod authentication;
pub mod client_address;
pub mod cors;
pub mod documentation;
pub mod error;
pub mod headers;
pub mod limits;
pub mod pipeline;
pub mod proxy;
pub mod rate_limit;
pub mod redis_access;
pub mod revocations;
pub mod routes;
mod service;
pub mod settings;
pub mod tunnel;
pub mod upstream;

pub use service::{Gateway, service};
