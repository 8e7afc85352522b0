//! The auth service: alone in having the keys that sign tokens, and those that secrets of accounts are encrypted with.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

use super::component::Component;
use super::service::Shape;
use super::volume;
use crate::validate::{Platform, Settings};

/// The objects of the auth service.
#[must_use]
pub fn build(platform: &Platform) -> (Service, Deployment) {
    let signing_keys = volume::secret("signing-keys", &platform.names.object("signing-keys"));
    let account_keys = volume::secret("account-keys", &platform.names.object("account-keys"));
    let shape = Shape::new(platform, Component::Auth, &platform.auth)
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
        .variable("MALLOC_MMAP_THRESHOLD_", "1048576");
    settings(shape, &platform.settings).finish()
}

/// What the document says; the service has defaults of its own.
fn settings<'a>(mut shape: Shape<'a>, settings: &Settings) -> Shape<'a> {
    if let Some(open) = settings.registration_open {
        shape = shape.setting("registration", "open", open.to_string());
    }
    if !settings.email_domains.is_empty() {
        shape = shape.setting("registration", "email_domains", settings.email_domains.join(","));
    }
    let (idle, longest) = settings.session_hours;
    for (key, hours) in [("idle_hours", idle), ("longest_hours", longest)] {
        if let Some(hours) = hours {
            shape = shape.setting("sessions", key, hours.to_string());
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::build::properties::platform;

    fn variables(auth: &Value) -> Vec<(String, String)> {
        let platform = platform("acme", &json!({"host": "a.example", "auth": auth}));
        let pods = build(&platform).1.spec.unwrap().template.spec.unwrap();
        let variables = pods.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        let said = |name: &str| name.contains("_REGISTRATION__") || name.contains("_SESSIONS__");
        variables.filter(|variable| said(&variable.name)).filter_map(|it| Some((it.name, it.value?))).collect()
    }

    #[test]
    fn what_the_document_says_of_accounts_and_sessions_reaches_the_service_and_nothing_else_does() {
        let registration = json!({"mode": "Closed", "emailDomains": ["acme.example", "acme.test"]});
        let auth = json!({"registration": registration, "sessions": {"idle": "12h", "longest": "2d"}});
        let expected = [
            ("REGISTRATION__OPEN", "false"),
            ("REGISTRATION__EMAIL_DOMAINS", "acme.example,acme.test"),
            ("SESSIONS__IDLE_HOURS", "12"),
            ("SESSIONS__LONGEST_HOURS", "48"),
        ];
        let expected = expected.map(|(name, value)| (format!("CHATPLATFORM_{name}"), value.to_owned()));
        assert_eq!(variables(&auth), expected);
        assert_eq!(variables(&json!({"replicas": 2})), []);
        let week = variables(&json!({"sessions": {"longest": "7d"}}));
        assert_eq!(week.iter().map(|(_, hours)| hours.as_str()).collect::<Vec<_>>(), ["168", "168"]);
    }
}
