//! The gateway's settings; `config.default.toml` explains each.

use std::{net::SocketAddr, time::Duration};

use runtime::{
    config::{Fault, Log, Redis, Section, Server, Tokens, faults_of},
    program,
};
use serde::Deserialize;

use crate::{
    client_address::Network,
    rate_limit::Rate,
    routes::{Class, Upstream},
    upstream::Base,
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
    /// Names of all addresses of each.
    pub endpoints: Endpoints,
    /// How names are asked for.
    pub discovery: Discovery,
    /// Requests that are sent again.
    pub retries: Retries,
    /// When a service is left alone.
    pub breaker: Breaker,
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

/// URLs whose names lead to every address of a service, or nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// Of the auth service.
    pub auth: String,
    /// Of the chat service.
    pub chat: String,
    /// Of the media service.
    pub media: String,
    /// Of the notification service.
    pub notification: String,
}

/// How names are asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discovery {
    /// Name servers, as address and port; none is those of `/etc/resolv.conf`.
    pub servers: Vec<String>,
    /// Time between two looks.
    pub refresh_milliseconds: u64,
}

/// How many requests are sent again because their connection broke.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// Of all requests, in hundredths.
    pub percent: u16,
    /// And this many each second however few there are.
    pub per_second: u16,
}

/// When a service that fails is left alone.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// After so many failures in a row.
    pub consecutive_failures: u32,
    /// Or so many of the latest requests, in hundredths.
    pub failure_percent: u32,
    /// For so long at first,
    pub open_milliseconds: u64,
    /// and at most.
    pub longest_open_milliseconds: u64,
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
    /// Between two parts of an answer's body.
    pub stall_seconds: u64,
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
            ("endpoints", &self.endpoints),
            ("discovery", &self.discovery),
            ("retries", &self.retries),
            ("breaker", &self.breaker),
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

impl Endpoints {
    /// The URL of one of them, or nothing.
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

impl Section for Endpoints {
    fn faults(&self) -> Vec<Fault> {
        let fault = |upstream: &Upstream| {
            let url = Some(self.of(*upstream)).filter(|url| !url.is_empty())?;
            Some(Fault::new(upstream.name(), url.parse::<Base>().err()?.to_string()))
        };
        Upstream::ALL.iter().filter_map(fault).collect()
    }
}

impl Discovery {
    /// The name servers that are addresses, which all are once the settings have been looked through.
    #[must_use]
    pub fn servers(&self) -> Vec<SocketAddr> {
        self.servers.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

impl Section for Discovery {
    fn faults(&self) -> Vec<Fault> {
        let is_fault = |text: &&String| text.parse::<SocketAddr>().is_err();
        let fault = |text: &String| Fault::new("servers", format!("{text:?} is not an address like 10.96.0.10:53"));
        let mut faults: Vec<_> = self.servers.iter().filter(is_fault).map(fault).collect();
        faults.extend(within("refresh_milliseconds", self.refresh_milliseconds, 10, 60_000));
        faults
    }
}

impl Section for Retries {
    fn faults(&self) -> Vec<Fault> {
        within("percent", self.percent.into(), 0, 100).into_iter().collect()
    }
}

impl Section for Breaker {
    fn faults(&self) -> Vec<Fault> {
        let values = [
            within("consecutive_failures", self.consecutive_failures.into(), 1, 1000),
            within("failure_percent", self.failure_percent.into(), 1, 100),
            within("open_milliseconds", self.open_milliseconds, 1, 600_000),
            within("longest_open_milliseconds", self.longest_open_milliseconds, self.open_milliseconds, 600_000),
        ];
        values.into_iter().flatten().collect()
    }
}

fn within(key: &str, value: u64, least: u64, most: u64) -> Option<Fault> {
    let is_fault = value < least || value > most;
    is_fault.then(|| Fault::new(key, format!("must be between {least} and {most}")))
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

    /// How long an answer may pause in the middle.
    #[must_use]
    pub fn stall(&self) -> Duration {
        Duration::from_secs(self.stall_seconds)
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
            ("stall_seconds", self.stall_seconds),
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
            ("CHATPLATFORM_ENDPOINTS__CHAT", "http://acme-chat-pods:8080/path"),
            ("CHATPLATFORM_DISCOVERY__SERVERS", "10.96.0.10"),
            ("CHATPLATFORM_RETRIES__PERCENT", "101"),
            ("CHATPLATFORM_BREAKER__FAILURE_PERCENT", "0"),
            ("CHATPLATFORM_TRUSTED_PROXIES__NETWORKS", "10.0.0.0/8,everyone"),
            ("CHATPLATFORM_RATE_LIMITS__AUTH__BURST", "0"),
            ("CHATPLATFORM_LIMITS__BODY_BYTES", "0"),
            ("CHATPLATFORM_CORS__ALLOWED_ORIGINS", "app.example"),
        ])
        .unwrap_err()
        .to_string();
        for key in [
            "upstreams.chat",
            "endpoints.chat",
            "discovery.servers",
            "retries.percent",
            "breaker.failure_percent",
            "trusted_proxies.networks",
            "rate_limits.auth.burst",
            "limits.body_bytes",
            "cors.allowed_origins",
        ] {
            assert!(error.contains(key), "{key} is missing in {error}");
        }
    }
}
