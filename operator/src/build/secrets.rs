//! Secrets, from the material that `crate::secrets` keeps.

use k8s_openapi::api::core::v1::Secret;

use super::component::Component;
use super::labels;
use crate::api::DeletionPolicy;
use crate::validate::Platform;

/// The Secret without which what a kept volume holds is unreadable. All others can be made anew: `provision` and the servers' own
/// start-up give the servers the new credentials.
pub const MESSAGE_KEYS: &str = "message-keys";

/// Every Secret of a platform.
#[must_use]
pub fn build(platform: &Platform) -> Vec<Secret> {
    let kept = platform.names.object(MESSAGE_KEYS);
    platform
        .material
        .rendered(&platform.names)
        .iter()
        .filter_map(|rendered| {
            let component = Component::from_name(rendered.component())?;
            let mut metadata = labels::metadata(platform, component);
            if platform.deletion_policy == DeletionPolicy::Retain && rendered.name() == kept {
                metadata.owner_references = None;
            }
            Some(rendered.to_secret(metadata))
        })
        .collect()
}
