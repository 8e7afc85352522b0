//! The services behind: which addresses each has now, which of them a request goes to, and what becomes of it when that fails.
//!
//! [`pool`] reads as the way of a request to a service; what it decides by is in the other files.

pub mod answer;
pub mod balance;
pub mod base;
pub mod body;
pub mod breaker;
pub mod discovery;
pub mod endpoint;
pub mod endpoints;
pub mod failure;
pub mod lookout;
pub mod message;
pub mod metrics;
pub mod pool;

pub use answer::Answer;
pub use base::{Base, InvalidBase};
pub use endpoint::{Lease, Tag};
pub use failure::Unreachable;
pub use pool::{Pool, Trip};
