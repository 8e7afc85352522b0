//! The auth service: alone in having the keys that sign tokens, and those that secrets of accounts are encrypted with.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::component::Component;
use super::service::Shape;
use super::volume;
use crate::validate::Platform;

/// The objects of the auth service.
#[must_use]
pub fn build(platform: &Platform) -> (Service, Deployment) {
    let signing_keys = volume::secret("signing-keys", &platform.names.object("signing-keys"));
    let account_keys = volume::secret("account-keys", &platform.names.object("account-keys"));
    Shape::new(platform, Component::Auth, &platform.auth)
        .mongodb()
        .redis()
        .rabbitmq()
        .setting("tokens", "signing_keys_file", "/etc/chatplatform/signing-keys/keys.json")
        .mounted(signing_keys, "/etc/chatplatform/signing-keys")
        .setting("account_keys", "file", "/etc/chatplatform/account-keys/keys.json")
        .mounted(account_keys, "/etc/chatplatform/account-keys")
        // The notification service sends the letters; here it decides whether people are asked to show that they arrive.
        .setting("email", "enabled", platform.email.is_some().to_string())
        // A hash takes 19 MiB for a moment. Left to itself, glibc keeps as much for every thread that ever hashed (mallopt(3),
        // M_MMAP_THRESHOLD), which is more than the limit; above a fixed size it gives memory back at once.
        .variable("MALLOC_MMAP_THRESHOLD_", "1048576")
        .finish()
}
