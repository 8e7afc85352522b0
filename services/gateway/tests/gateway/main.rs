//! The gateway before real services of the test's own, with a real Redis.

#![allow(clippy::unwrap_used)]

mod failing;
mod passing_on;
mod program;
mod refusing;
mod rolling;
mod world;
