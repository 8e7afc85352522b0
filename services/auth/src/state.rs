//! What the routes work with.

use axum::extract::FromRef;
use runtime::clock::Clock;
use runtime::identity::TokenVerifier;

use crate::addresses::Addresses;
use crate::administration::Administration;
use crate::credentials::Credentials;
use crate::events::Events;
use crate::passwords::Passwords;
use crate::registration::Registrar;
use crate::second_step::SecondSteps;
use crate::sessions::Sessions;
use crate::store::{OneTimeStore, UserStore};
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
    pub credentials: Credentials,
    /// Second steps of log-ins.
    pub second_steps: SecondSteps,
    /// Tokens that work once.
    pub one_time: OneTimeStore,
    /// Verifies and changes e-mail addresses.
    pub addresses: Addresses,
    /// Changes and resets passwords.
    pub passwords: Passwords,
    /// What those in charge do.
    pub administration: Administration,
    /// Tells others of changes.
    pub events: Events,
    /// Signs access tokens.
    pub signer: Signer,
    /// Verifies access tokens.
    pub verifier: TokenVerifier,
    /// The time.
    pub clock: Clock,
}
