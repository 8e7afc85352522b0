//! The `ChatPlatform` operator.
//!
//! One pipeline of six steps, `observe -> validate -> build -> apply -> provision -> report`, one module each;
//! [`reconcile`] shows them in order and [`watch`] says what starts it.

#[expect(clippy::doc_markdown, reason = "these comments are what kubectl explain shows, as plain text")]
#[expect(
    unreachable_pub,
    reason = "the derive of schemas repeats the visibility of a type on a copy within a function"
)]
pub mod api;
pub mod apply;
pub mod asked;
pub mod build;
pub mod client;
pub mod document;
pub mod lease;
pub mod observe;
pub mod proven;
#[cfg(feature = "provision")]
pub mod provision;
pub mod provisioner;
pub mod reason;
pub mod reconcile;
pub mod refusal;
pub mod report;
pub mod roll;
pub mod secrets;
pub mod telemetry;
pub mod validate;
pub mod watch;

/// The release of this operator, and so the newest release of the platform it can run.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The field manager of every write: what it owns in an object is what this operator has set.
pub const FIELD_MANAGER: &str = "chatplatform-operator";
