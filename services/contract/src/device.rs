//! Bodies of `/devices...`.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::DeviceId;

/// A device that push notifications reach. Its token is never told again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Identity.
    pub id: DeviceId,
    /// What it is.
    pub platform: DevicePlatform,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was first registered.
    pub created_at: Timestamp,
    /// When it was last registered.
    pub seen_at: Timestamp,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DevicePlatform {
    /// A phone or tablet with Android.
    Android,
    /// A phone or tablet of Apple's.
    Ios,
    /// A browser.
    Web,
}

/// Body of `POST /devices`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewDevice {
    /// The registration token that Firebase Cloud Messaging gave the device, at most 4096 characters.
    pub token: String,
    /// What it is.
    pub platform: DevicePlatform,
    /// What its owner calls it, at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl fmt::Debug for NewDevice {
    // Whoever knows the token and the project's key can write to the device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewDevice").field("platform", &self.platform).field("name", &self.name).finish_non_exhaustive()
    }
}
