//! The notification service: in-app, and where the document asks for it by e-mail and push.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::component::Component;
use super::service::Shape;
use super::volume;
use crate::api::EmailTls;
use crate::secrets;
use crate::validate::Platform;

/// The objects of the notification service.
#[must_use]
pub fn build(platform: &Platform) -> (Service, Deployment) {
    let shape = Shape::new(platform, Component::Notification, &platform.notification).mongodb().rabbitmq().setting(
        "web",
        "url",
        format!("https://{}", platform.host),
    );
    let shape = push(platform, shape);
    match &platform.email {
        None => shape,
        Some(email) => {
            let shape = shape
                .setting("email", "host", &email.host)
                .setting("email", "port", email.port.to_string())
                .setting("email", "tls", tls(email.tls))
                .setting("email", "from", &email.from);
            match &email.credentials {
                None => shape,
                Some(secret) => shape
                    .setting("email", "username_file", "/etc/chatplatform/email/username")
                    .setting("email", "password_file", "/etc/chatplatform/email/password")
                    .mounted(volume::secret("email", secret), "/etc/chatplatform/email"),
            }
        }
    }
    .finish()
}

fn push<'a>(platform: &Platform, shape: Shape<'a>) -> Shape<'a> {
    let Some(push) = &platform.push else { return shape };
    let shape = shape
        .setting("push", "project_id", &push.project)
        .setting("push", "credentials_file", format!("/etc/chatplatform/push/{}", secrets::SERVICE_ACCOUNT))
        .mounted(volume::secret("push", &push.credentials), "/etc/chatplatform/push");
    match &push.endpoint {
        None => shape,
        Some(endpoint) => shape.setting("push", "endpoint", endpoint),
    }
}

fn tls(tls: EmailTls) -> &'static str {
    match tls {
        EmailTls::None => "none",
        EmailTls::StartTLS => "starttls",
        EmailTls::Implicit => "implicit",
    }
}
