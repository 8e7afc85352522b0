//! The chat service: alone in having the keys that wrap the keys of conversations.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::component::Component;
use super::service::Shape;
use super::volume;
use crate::validate::Platform;

/// The objects of the chat service.
#[must_use]
pub fn build(platform: &Platform) -> (Service, Deployment) {
    let keys = volume::secret("message-keys", &platform.names.object("message-keys"));
    let shape = Shape::new(platform, Component::Chat, &platform.chat)
        .mongodb()
        .redis()
        .rabbitmq()
        .setting("message_keys", "file", "/etc/chatplatform/message-keys/keys.json")
        .mounted(keys, "/etc/chatplatform/message-keys");
    search(platform, shape).finish()
}

fn search<'a>(platform: &Platform, shape: Shape<'a>) -> Shape<'a> {
    let Some(search) = &platform.search else { return shape };
    let shape = shape
        .setting("search", "backend", "opensearch")
        .setting("search", "endpoint", &search.endpoint)
        .setting("search", "index", &search.index);
    match &search.credentials {
        None => shape,
        Some(secret) => shape
            .setting("search", "username_file", "/etc/chatplatform/opensearch/username")
            .setting("search", "password_file", "/etc/chatplatform/opensearch/password")
            .mounted(volume::secret("opensearch", secret), "/etc/chatplatform/opensearch"),
    }
}
