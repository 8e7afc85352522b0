//! One server for a whole test process.

use std::env;
use std::sync::OnceLock;

use anyhow::Result;

/// The value of `server`, made on first use.
///
/// # Panics
/// When the server does not start: no test could go on.
pub(crate) fn get_or_start<T>(server: &'static OnceLock<T>, make: impl FnOnce() -> Result<T>) -> &'static T {
    server.get_or_init(|| match make() {
        Ok(server) => server,
        Err(error) => panic!("{error:#}"),
    })
}

/// What the environment says of a server that somebody else started.
pub(crate) fn announced(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}
