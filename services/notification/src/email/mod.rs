//! E-mail about notifications and about accounts.
//!
//! Every notification that is stored while e-mail is configured is due to be sent; that it is due stands in its own document, so no
//! crash loses it. A worker claims one that is due, sends it, and records it as sent. While it is claimed no other worker takes it, so
//! in ordinary operation there is one e-mail per notification. Should the process die between the server's "accepted" and the record,
//! the claim runs out and the e-mail is sent again (at least once); both copies have the same `Message-ID`. Letters about accounts go
//! the same way, and before all others: somebody waits for them.

pub mod account;
pub mod delivery;
pub mod letter;
pub mod mailer;
mod schedule;
