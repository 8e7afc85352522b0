//! Passwords: which are accepted, and how they are kept.

mod hasher;
mod policy;

pub use hasher::{Hasher, HasherError, PasswordHash, Verdict};
pub use policy::{Password, PasswordFault};
