//! Each server does what tests of the platform rely on, with the clients that the platform uses.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod announce;
mod death;
mod fcm;
mod mongodb;
mod object_storage;
mod opensearch;
mod rabbitmq;
mod redis;
mod redis_trio;
mod smtp;
