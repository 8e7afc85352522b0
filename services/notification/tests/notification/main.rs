//! The notification service, against a real `MongoDB`, a real broker and a real mail server.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod claims;
mod consuming;
mod emails;
mod events;
mod letters;
mod list;
mod program;
mod service;
