//! What handlers share.

use axum::extract::FromRef;
use runtime::identity::TokenVerifier;

use crate::conversations::Conversations;
use crate::messages::Messages;
use crate::names::Names;

/// The state of the routes.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// Conversations.
    pub conversations: Conversations,
    /// Messages.
    pub messages: Messages,
    /// Remembers by which names users can be mentioned.
    pub names: Names,
    /// Verifies access tokens.
    pub verifier: TokenVerifier,
}
