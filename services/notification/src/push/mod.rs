//! Push: telling devices, by way of Firebase Cloud Messaging (HTTP v1).
//!
//! A notification is due for push if its user has a device when it is stored; how it is sent without losing one is [`crate::delivery`]'s.
//! Each device that has it, or never will, is recorded at once, so that the others alone are tried again. A copy that was sent twice takes
//! the place of the first on the device. Nothing of the message itself leaves the platform: a push says who wrote, and where to look.

pub mod access;
pub mod channel;
pub mod credentials;
pub mod fcm;
mod message;
mod retry_after;
pub mod standing;
