//! Backups and restores against real servers.

#![allow(clippy::unwrap_used)]

mod damage;
mod moment;
mod outages;
mod program;
mod retention;
mod sameness;
mod target;
mod world;
