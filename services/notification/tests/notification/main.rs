//! The notification service, against a real `MongoDB`, a real broker, a real mail server and a stand-in for Firebase.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod claims;
mod consuming;
mod devices;
mod emails;
mod events;
mod letters;
mod list;
mod openapi;
mod preferences;
mod program;
mod push;
mod service;
