//! The wire: what clients, services and the broker say to one another.
//!
//! Identifiers, token claims, problem bodies, events and the JSON bodies of the REST interface.
//! Nothing here does I/O; a service and its tests share these types, so that they cannot drift apart.

pub mod claims;
pub mod conversation;
pub mod device;
pub mod event;
pub mod id;
pub mod keys;
pub mod media;
pub mod message;
pub mod notification;
pub mod page;
pub mod problem;
pub mod redis_url;
pub mod trace;
pub mod user;
