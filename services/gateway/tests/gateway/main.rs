//! The gateway before real services of the test's own, with a real Redis.

#![allow(clippy::unwrap_used)]

mod affinity;
mod balancing;
mod breaking;
mod cutter;
mod documentation;
mod failing;
mod names;
mod passing_on;
mod program;
mod refusing;
mod rolling;
mod world;
