//! The end-to-end harness: a real cluster on this machine, images, scenarios, benchmarks.
//!
//! [`up::up`] reads as its outline: an [`engine`] (found, or prepared by [`offline`]), a [`cluster`] made with it, [`images`] in its
//! nodes, a [`platform`] on it.
#![allow(clippy::print_stdout, reason = "the harness talks to a person at a terminal")]

pub mod bench;
pub mod cache;
pub mod cluster;
pub mod command;
pub mod docker;
pub mod down;
pub mod engine;
pub mod environment;
pub mod images;
pub mod interrupt;
pub mod look;
pub mod machine;
pub mod offline;
pub mod platform;
mod procfs;
pub mod progress;
pub mod quirks;
pub mod scenarios;
pub mod source;
pub mod test;
pub mod together;
pub mod up;
