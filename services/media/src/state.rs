//! What every handler can reach.

use axum::extract::FromRef;
use runtime::{clock::Clock, identity::TokenVerifier, objects::Objects, shutdown::Shutdown};

use crate::{
    settings::Upload,
    store::{Avatars, Files},
    upload::Uploads,
};

/// The dependencies of the handlers; clones share them.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// Tells who is calling.
    pub tokens: TokenVerifier,
    /// What is known of files.
    pub files: Files,
    /// Which of them are pictures of accounts.
    pub avatars: Avatars,
    /// Their bytes.
    pub objects: Objects,
    /// Takes files in.
    pub uploads: Uploads,
    /// Waits for uploads, and for the cleaning up after them.
    pub shutdown: Shutdown,
}

impl AppState {
    /// Handlers that work on these stores under these settings.
    #[must_use]
    pub fn new(
        tokens: TokenVerifier,
        (files, avatars): (Files, Avatars),
        objects: Objects,
        settings: &Upload,
        clock: Clock,
        shutdown: Shutdown,
    ) -> Self {
        let uploads = Uploads::new(files.clone(), objects.clone(), settings, clock);
        Self { tokens, files, avatars, objects, uploads, shutdown }
    }
}
