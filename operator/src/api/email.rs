//! The SMTP server that e-mail leaves by.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An SMTP submission server. Change: rolling restart of the notification service.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// Host name of the server.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("size(self) > 0").message("spec.email.host is empty: write the host name of an SMTP server"))]
    pub host: String,

    /// Port of the server, 1 to 65535. Default: 587 with StartTLS, 465 with Implicit, 25 with None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("spec.email.port takes 1 to 65535"))]
    pub port: Option<i32>,

    /// How the connection is encrypted. Default: StartTLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<EmailTls>,

    /// Sender of every e-mail, such as "Acme Chat <chat@acme.example>".
    #[schemars(length(max = 320))]
    #[x_kube(validation = Rule::new("self.contains('@')").message(Message::Expression("'spec.email.from is \"' + self + '\": write an e-mail address, such as chat@example.com'".into())))]
    pub from: String,

    /// Secret in the same namespace with the keys username and password. Default: the server wants no log-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
}

/// How a connection to an SMTP server is encrypted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum EmailTls {
    /// Not at all: only for a server in the same cluster.
    None,
    /// Starts in the clear and switches to TLS (RFC 3207).
    #[default]
    StartTLS,
    /// TLS from the first byte (RFC 8314).
    Implicit,
}

/// A Secret in the platform's namespace.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("size(self) > 0").message("name is empty: write the name of a Secret in the platform's namespace"))]
    pub name: String,
}
