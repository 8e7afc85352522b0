//! The chat service: conversations, messages, and both in real time.
//!
//! REST comes in by [`http`], Socket.IO by [`realtime`]; what may be done is in [`conversations`] and [`messages`]; what is kept, by [`store`],
//! with texts sealed by [`crypto`] and found by [`search`].

pub mod conversations;
pub mod crypto;
pub mod departures;
pub mod http;
pub mod messages;
pub mod names;
pub mod realtime;
pub mod rewrapping;
pub mod search;
mod service;
pub mod settings;
pub mod state;
pub mod store;
pub mod turns;

pub use service::service;

/// The source of this service's events.
pub const SOURCE: &str = "chat";
