//! The way that push notifications leave by.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::email::SecretRef;
use super::rules;

/// Push notifications to phones and browsers, by Firebase Cloud Messaging (HTTP v1). They hold nothing of a message but its id.
/// Change: rolling restart of the notification service.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Push {
    /// Id of the Firebase project that the clients were built for: 6 to 30 lower-case letters, digits and dashes.
    #[schemars(length(max = 30))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z][a-z0-9-]{4,28}[a-z0-9]$')").message("write the id of a Firebase project, such as acme-chat-1: 6 to 30 lower-case letters, digits and dashes"))]
    pub project_id: String,

    /// Secret in the same namespace with the key service-account.json: the key of a service account of the project, as the Firebase
    /// console gives it out. Another key in the same Secret is read within two minutes, and nothing restarts.
    pub credentials_secret_ref: SecretRef,

    /// URL of Firebase's interface, without path, at most 270 characters; for a proxy that stands in for it. http is for one in the same
    /// cluster alone. Default: https://fcm.googleapis.com.
    #[schemars(length(max = 270))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::base_url("https://fcm.googleapis.com"))]
    pub endpoint: Option<String>,
}
