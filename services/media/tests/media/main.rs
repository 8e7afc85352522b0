//! The media service over HTTP, against a real `MongoDB` and a real S3 store.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod content;
mod form;
mod keys;
mod lifecycle;
mod openapi;
mod outages;
mod program;
mod refusals;
mod service;
mod upload;
