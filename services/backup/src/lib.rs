//! Backups of a platform's `MongoDB` in an S3 bucket, and the way back.
//!
//! A backup is all four databases as they were at one moment, read while people go on chatting. It is a folder of objects:
//!
//! | object | what it holds |
//! |---|---|
//! | `<prefix>/<name>/<database>/<collection>.bson.gz` | the documents, in BSON one after the other, as they are in the database |
//! | `<prefix>/<name>/collections.bson.gz` | each collection's options and indexes |
//! | `<prefix>/<name>/manifest.json` | what belongs to it, with sizes and digests, and which keys are needed to read it |
//! | `<prefix>/<name>/manifest.json.sha256` | the digest of that, as `sha256sum` writes it |
//!
//! The manifest is written last, and a backup without one is none: whatever happens before leaves nothing that could be taken for a backup.

pub mod archive;
pub mod bucket;
pub mod command;
pub mod error;
pub mod manifest;
pub mod name;
pub mod restore;
pub mod retention;
pub mod settings;
pub mod snapshot;
pub mod take;

/// The databases of a platform, one of each service that has one.
pub const DATABASES: [&str; 4] = ["auth", "chat", "media", "notification"];
