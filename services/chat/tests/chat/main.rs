//! The chat service against real servers, and against the official Socket.IO client.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod access;
mod at_rest;
mod client;
mod conversations;
mod delivery;
mod departures;
mod durability;
mod events;
mod first_ping;
mod leaks;
mod losses;
mod mentions;
mod model;
mod openapi;
mod opensearch;
mod platform;
mod replicas;
mod rest;
mod search;
mod slowness;
mod succession;
mod threads;
mod unread;
