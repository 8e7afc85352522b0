//! The SMTP server that e-mail leaves by.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// An SMTP submission server. Change: rolling restart of the notification service.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// Host name or IPv4 address of the server, without scheme and port; at most 253 characters.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$')").message("write the host name of an SMTP server, such as smtp.example.com, without scheme and port"))]
    pub host: String,

    /// Port of the server, 1 to 65535. Default: 587 with StartTLS, 465 with Implicit, 25 with None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("write a port from 1 to 65535"))]
    pub port: Option<i32>,

    /// How the connection is encrypted: StartTLS begins in the clear and switches (RFC 3207), Implicit is TLS from the first byte
    /// (RFC 8314), None is for a server in the same cluster alone. Default: StartTLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<EmailTls>,

    /// Sender of every e-mail, an address such as chat@acme.example or a name with one, "Acme Chat <chat@acme.example>"; at most 320
    /// characters.
    #[schemars(length(max = 320))]
    #[x_kube(validation = Rule::new(r"self.matches('^([^<>\\r\\n]*<[^<>@\\s]+@[^<>@\\s]+>|[^<>@\\s]+@[^<>@\\s]+)$')").message("write an e-mail address, such as chat@example.com or Acme Chat <chat@example.com>"))]
    pub from: String,

    /// Secret in the same namespace with the keys username and password. Default: the server wants no log-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
}

/// How the connection is encrypted: StartTLS begins in the clear and switches (RFC 3207), Implicit is TLS from the first byte
/// (RFC 8314), None is for a server in the same cluster alone.
/// Default: StartTLS. Change: rolling restart of the notification service.
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
    /// Name of the Secret, at most 253 characters. Change: rolling restart of those who use it, and likewise when another connection to
    /// MongoDB or an S3 account is put into it; all else in it is read again.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name("a Secret in the platform's namespace"))]
    pub name: String,
}
