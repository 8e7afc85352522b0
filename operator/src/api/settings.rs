//! What people may say of the services themselves, besides their pods.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::component::Workload;
use super::quantity::Quantity;
use super::rules;

/// The bounds of the largest file that people may upload.
pub(crate) const UPLOAD_LEAST: &str = "1Mi";
pub(crate) const UPLOAD_MOST: &str = "5Gi";
/// The most requests that a limit may allow.
pub(crate) const RATE_MOST: i32 = 1_000_000;
/// The most origins.
pub(crate) const ORIGINS_MOST: usize = 32;
/// The most domains of addresses.
pub(crate) const DOMAINS_MOST: usize = 32;
/// How long a session lasts where nothing is said of it.
pub(crate) const SESSION_IDLE: &str = "30d";
pub(crate) const SESSION_LONGEST: &str = "365d";

/// The gateway service.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Its pods.
    #[serde(flatten)]
    pub workload: Workload,

    /// Origins besides the platform's own whose pages may call it from a browser (CORS), each a scheme and a host with an optional port,
    /// such as https://app.example.com; * allows every page, which is safe as far as no page gets at another's tokens. At most 32.
    /// Default: none. Change: rolling restart of the gateway.
    #[schemars(length(max = 32), inner(length(max = 270)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::origins())]
    pub allowed_origins: Option<Vec<String>>,

    /// How many requests the gateway takes of one person, or of one address where nobody is logged in, by kind of request. Above that it
    /// answers 429 and says when to come back. Default: each kind has its own. Change: rolling restart of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<RateLimits>,
}

/// Limits by kind of request. A kind that is left out keeps its default.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimits {
    /// What concerns passwords and tokens: registering, logging in, refreshing. Counted by address alone.
    /// Default: 30 a minute, 30 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Rate>,

    /// Reading. Default: 1200 a minute, 300 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Rate>,

    /// Writing, messages sent by REST too. Default: 600 a minute, 200 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<Rate>,

    /// Uploading files. Default: 60 a minute, 30 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Rate>,

    /// Opening sockets, and each poll of those that cannot stay open. Default: 3000 a minute, 1000 at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<Rate>,
}

/// How many requests, in the long run and at once.
#[derive(Clone, Copy, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Requests a minute in the long run, 1 to 1000000.
    #[x_kube(validation = rules::rate())]
    pub per_minute: i32,

    /// Requests at once, after a time without any, 1 to 1000000. Default: as many as perMinute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::rate())]
    pub burst: Option<i32>,
}

/// The auth service.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Its pods.
    #[serde(flatten)]
    pub workload: Workload,

    /// Who makes accounts. Default: whoever comes. Change: rolling restart of the auth service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,

    /// How long people stay logged in. Default: 30 days without use, a year at most. Change: rolling restart of the auth service; sessions
    /// that are open keep their end until they are used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Sessions>,
}

/// Who makes accounts.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// Open or Closed. Default: Open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<RegistrationMode>,

    /// Domains such as acme.example. People register with addresses of these alone; whom admins invite may have others. At most 32.
    /// Addresses prove something only where spec.email is set, as mail to them is asked for then. Default: any domain.
    #[schemars(length(max = 32), inner(length(max = 253)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::email_domains())]
    pub email_domains: Option<Vec<String>>,
}

/// Open: people make their own accounts. Closed: admins make them (POST /api/v1/admin/users), the first one by
/// `kubectl exec deploy/<platform>-auth -- auth invite EMAIL USERNAME`. Accounts that there are stay. Default: Open.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RegistrationMode {
    /// They do.
    #[default]
    Open,
    /// Admins make them.
    Closed,
}

/// How long people stay logged in.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::idle_within_longest())]
pub struct Sessions {
    /// How long a session lasts that nobody uses, a number of hours or days such as 12h or 30d, at most 3650d.
    /// Default: 30d, or longest where that is less.
    #[schemars(length(max = 6))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::every())]
    pub idle: Option<String>,

    /// How long a session lasts however often it is used, such as 90d; idle is not longer. Default: 365d.
    #[schemars(length(max = 6))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::every())]
    pub longest: Option<String>,
}

/// The media service.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Media {
    /// Its pods.
    #[serde(flatten)]
    pub workload: Workload,

    /// Size of the largest file that people may upload, in bytes, 1Mi to 5Gi. The gateway and the edge let as much through.
    /// Default: 100Mi. Change: rolling restart of the media service, the gateway and the edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::upload_size())]
    pub max_upload_size: Option<Quantity>,
}
