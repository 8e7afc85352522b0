//! The service over HTTP, against a real `MongoDB`, Redis and `RabbitMQ`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod service;

mod events;
mod jwks;
mod lockout;
mod login;
mod logout;
mod people;
mod profile;
mod program;
mod refresh;
mod registration;
mod sessions;
