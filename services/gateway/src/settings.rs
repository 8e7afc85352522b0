//! The gateway's settings; `config.default.toml` explains each.

use std::time::Duration;

use runtime::{
    config::{Fault, Log, Redis, Section, Server, Tokens, faults_of},
    program,
};
use serde::Deserialize;

use crate::{
    client_address::Network,
    proxy::Base,
    rate_limit::Rate,
    routes::{Class, Upstream},
};

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Everything.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Listeners and the stop.
    pub server: Server,
    /// Logging.
    pub log: Log,
    /// Where limits are counted and revoked sessions stand.
    pub redis: Redis,
    /// How tokens are verified.
    pub tokens: Tokens,
    /// The services behind.
    pub upstreams: Upstreams,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Sizes and times.
    pub limits: Limits,
    /// Requests per class.
    pub rate_limits: RateLimits,
    /// Pages of other origins.
    pub cors: Cors,
}

/// Base URLs of the services behind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstreams {
    /// The auth service.
    pub auth: String,
    /// The chat service.
    pub chat: String,
    /// The media service.
    pub media: String,
    /// The notification service.
    pub notification: String,
}

/// Networks of proxies before us.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedProxies {
    /// In CIDR notation.
    pub networks: Vec<String>,
}

/// Sizes in bytes, times in seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Of a request's body.
    pub body_bytes: u64,
    /// Of an upload's body.
    pub upload_bytes: u64,
    /// Of all headers together.
    pub header_bytes: usize,
    /// Of path and query.
    pub target_bytes: usize,
    /// Until the head of the answer.
    pub deadline_seconds: u64,
    /// The same for uploads.
    pub upload_deadline_seconds: u64,
    /// The same for Socket.IO's polling and its handshakes.
    pub socket_deadline_seconds: u64,
}

/// A rate for each class of route.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// Credentials.
    pub auth: Rate,
    /// Reading.
    pub read: Rate,
    /// Writing.
    pub write: Rate,
    /// Uploading.
    pub upload: Rate,
    /// Handshakes and polls of Socket.IO.
    pub socket: Rate,
}

/// Which pages of other origins may call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Origins, or `*`.
    pub allowed_origins: Vec<String>,
}

impl program::Settings for Settings {
    const NAME: &'static str = "gateway";
    const DEFAULTS: &'static str = DEFAULTS;

    fn log(&self) -> Log {
        self.log.clone()
    }
}

impl Section for Settings {
    fn faults(&self) -> Vec<Fault> {
        faults_of(&[
            ("server", &self.server),
            ("log", &self.log),
            ("redis", &self.redis),
            ("tokens", &self.tokens),
            ("upstreams", &self.upstreams),
            ("trusted_proxies", &self.trusted_proxies),
            ("limits", &self.limits),
            ("rate_limits", &self.rate_limits),
            ("cors", &self.cors),
        ])
    }
}

impl Upstreams {
    /// The base URL of one of them.
    #[must_use]
    pub fn of(&self, upstream: Upstream) -> &str {
        match upstream {
            Upstream::Auth => &self.auth,
            Upstream::Chat => &self.chat,
            Upstream::Media => &self.media,
            Upstream::Notification => &self.notification,
        }
    }
}

impl Section for Upstreams {
    fn faults(&self) -> Vec<Fault> {
        let fault = |upstream: &Upstream| {
            let error = self.of(*upstream).parse::<Base>().err()?;
            Some(Fault::new(upstream.name(), error.to_string()))
        };
        Upstream::ALL.iter().filter_map(fault).collect()
    }
}

impl Section for TrustedProxies {
    fn faults(&self) -> Vec<Fault> {
        let fault = |text: &String| Some(Fault::new("networks", text.parse::<Network>().err()?.to_string()));
        self.networks.iter().filter_map(fault).collect()
    }
}

impl Limits {
    /// The largest body of a request of this class.
    #[must_use]
    pub fn body(&self, class: Class) -> u64 {
        if class == Class::Upload { self.upload_bytes } else { self.body_bytes }
    }

    /// How long the head of the answer may take for a request of this class.
    #[must_use]
    pub fn deadline(&self, class: Class) -> Duration {
        Duration::from_secs(match class {
            Class::Upload => self.upload_deadline_seconds,
            Class::Socket => self.socket_deadline_seconds,
            Class::Auth | Class::Read | Class::Write => self.deadline_seconds,
        })
    }
}

impl Section for Limits {
    fn faults(&self) -> Vec<Fault> {
        let at_least_one = [
            ("body_bytes", self.body_bytes),
            ("upload_bytes", self.upload_bytes),
            ("deadline_seconds", self.deadline_seconds),
            ("upload_deadline_seconds", self.upload_deadline_seconds),
            ("socket_deadline_seconds", self.socket_deadline_seconds),
        ];
        at_least_one
            .iter()
            .filter(|(_, value)| *value == 0)
            .map(|(key, _)| Fault::new(*key, "must be at least 1"))
            .collect()
    }
}

impl RateLimits {
    /// The rate of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> Rate {
        match class {
            Class::Auth => self.auth,
            Class::Read => self.read,
            Class::Write => self.write,
            Class::Upload => self.upload,
            Class::Socket => self.socket,
        }
    }
}

impl Section for RateLimits {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for class in Class::ALL {
            let rate = self.of(class);
            for (key, value) in [("per_minute", rate.per_minute), ("burst", rate.burst)] {
                if value == 0 {
                    faults.push(Fault::new(format!("{}.{key}", class.name()), "must be at least 1"));
                }
            }
        }
        faults
    }
}

impl Section for Cors {
    fn faults(&self) -> Vec<Fault> {
        let is_origin = |text: &String| {
            text == "*" || url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == *text)
        };
        let fault = |text: &String| {
            Fault::new("allowed_origins", format!("{text:?} is not an origin like https://app.example"))
        };
        self.allowed_origins.iter().filter(|text| !is_origin(text)).map(fault).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use runtime::config::{self, ConfigError};

    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let this_file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let needed = [
            ("CHATPLATFORM_REDIS__URL_FILE", this_file),
            ("CHATPLATFORM_TOKENS__JWKS_FILE", this_file),
            ("CHATPLATFORM_TOKENS__ISSUER", "https://chat.example"),
            ("CHATPLATFORM_UPSTREAMS__AUTH", "http://acme-auth:8080"),
            ("CHATPLATFORM_UPSTREAMS__CHAT", "http://acme-chat:8080"),
            ("CHATPLATFORM_UPSTREAMS__MEDIA", "http://acme-media:8080"),
            ("CHATPLATFORM_UPSTREAMS__NOTIFICATION", "http://acme-notification:8080"),
        ];
        let all = needed.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        config::load_from(DEFAULTS, all)
    }

    #[test]
    fn what_the_operator_sets_is_all_that_is_needed() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.server.drain_seconds, 20);
        assert_eq!(settings.rate_limits.auth.per_minute, 30);
    }

    #[test]
    fn every_fault_of_the_gateways_own_sections_is_named() {
        let error = load(&[
            ("CHATPLATFORM_UPSTREAMS__CHAT", "acme-chat"),
            ("CHATPLATFORM_TRUSTED_PROXIES__NETWORKS", "10.0.0.0/8,everyone"),
            ("CHATPLATFORM_RATE_LIMITS__AUTH__BURST", "0"),
            ("CHATPLATFORM_LIMITS__BODY_BYTES", "0"),
            ("CHATPLATFORM_CORS__ALLOWED_ORIGINS", "app.example"),
        ])
        .unwrap_err()
        .to_string();
        for key in [
            "upstreams.chat",
            "trusted_proxies.networks",
            "rate_limits.auth.burst",
            "limits.body_bytes",
            "cors.allowed_origins",
        ] {
            assert!(error.contains(key), "{key} is missing in {error}");
        }
    }
}
