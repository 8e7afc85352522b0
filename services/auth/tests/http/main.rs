//! The service over HTTP, against a real `MongoDB`, Redis and `RabbitMQ`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod service;

mod addresses;
mod administration;
mod admission;
mod deletion;
mod events;
mod first_admin;
mod jwks;
mod lockout;
mod login;
mod logout;
mod openapi;
mod passwords;
mod people;
mod profile;
mod program;
mod redis_away;
mod refresh;
mod registration;
mod second_step;
mod sessions;
