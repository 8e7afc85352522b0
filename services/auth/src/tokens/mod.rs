//! The two tokens a session has: a short one that opens every door, and a long one that buys the next short one.

pub mod access;
pub mod refresh;
pub mod signer;
