//! E-mail about notifications and about accounts.
//!
//! Every notification that is stored while e-mail is configured is due to be sent, and so is every letter about an account; how that is
//! done without losing one is [`crate::delivery`]'s. Should one be sent twice, both copies have the same `Message-ID`.

pub mod account;
pub mod channel;
pub mod letter;
pub mod mailer;
