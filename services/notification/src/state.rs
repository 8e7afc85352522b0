//! What every handler can reach.

use axum::extract::FromRef;
use runtime::{clock::Clock, identity::TokenVerifier};

use crate::store::{Devices, Notifications, Preferences};

/// The dependencies of the handlers; clones share them.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// Tells who is calling.
    pub tokens: TokenVerifier,
    /// The notifications.
    pub notifications: Notifications,
    /// The devices.
    pub devices: Devices,
    /// How users want to be told.
    pub preferences: Preferences,
    /// Tells the time.
    pub clock: Clock,
}
