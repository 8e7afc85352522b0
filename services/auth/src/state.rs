//! What the routes work with.

use axum::extract::FromRef;
use runtime::clock::Clock;
use runtime::identity::TokenVerifier;

use crate::lockout::Lockout;
use crate::password::Hasher;
use crate::registration::Registrar;
use crate::sessions::Sessions;
use crate::store::UserStore;
use crate::tokens::signer::Signer;

/// One clone goes to each request; everything in it is shared.
#[derive(Clone, Debug, FromRef)]
pub struct AppState {
    /// Makes accounts.
    pub registrar: Registrar,
    /// Accounts.
    pub users: UserStore,
    /// Sessions.
    pub sessions: Sessions,
    /// Compares passwords.
    pub hasher: Hasher,
    /// Slows guessing down.
    pub lockout: Lockout,
    /// Signs access tokens.
    pub signer: Signer,
    /// Verifies access tokens.
    pub verifier: TokenVerifier,
    /// The time.
    pub clock: Clock,
}
