//! Which images run.

use super::component::Component;
use crate::validate::Platform;

const MONGODB: &str = "library/mongo";
const REDIS: &str = "library/redis:7.0";
const RABBITMQ: &str = "library/rabbitmq:3.10-management";
const NGINX: &str = "library/nginx:1.22";
const VERSITYGW: &str = "versity/versitygw:v1.8.0";

/// The image of a component as it is to be now.
#[must_use]
pub fn image(platform: &Platform, component: Component) -> String {
    of_release(platform, component, platform.release(component))
}

/// The image of a component in a release.
#[must_use]
pub fn of_release(platform: &Platform, component: Component, release: &str) -> String {
    let registry = platform.images.registry.as_deref().unwrap_or("docker.io");
    match component {
        Component::MongoDb => {
            // Nobody asks for the image of a set that somebody else runs.
            let version = platform.mongodb.managed().map(|mongodb| mongodb.version.as_str()).unwrap_or_default();
            format!("{registry}/{MONGODB}:{version}")
        }
        Component::Redis => format!("{registry}/{REDIS}"),
        Component::RabbitMq => format!("{registry}/{RABBITMQ}"),
        Component::ObjectStorage => format!("{registry}/{VERSITYGW}"),
        Component::Edge => format!("{registry}/{NGINX}"),
        Component::Gateway
        | Component::Auth
        | Component::Chat
        | Component::Media
        | Component::Notification
        | Component::Web => {
            format!("{registry}/chatplatform/{}:{release}", component.name())
        }
    }
}

/// The image of the program that makes backups.
#[must_use]
pub fn backup(platform: &Platform) -> String {
    let registry = platform.images.registry.as_deref().unwrap_or("docker.io");
    format!("{registry}/chatplatform/backup:{}", platform.version)
}

/// The version of a component's image, that is its tag.
#[must_use]
pub fn version(image: &str) -> Option<&str> {
    let name = image.rsplit('/').next()?;
    name.split_once(':').map(|(_, tag)| tag)
}
