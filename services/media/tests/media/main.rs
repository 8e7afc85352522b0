//! The media service over HTTP, against a real `MongoDB` and a real S3 store.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod content;
mod form;
mod lifecycle;
mod openapi;
mod outages;
mod program;
mod refusals;
mod service;
mod upload;
