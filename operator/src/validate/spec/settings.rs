//! What is said of the services, besides their pods.

use std::collections::BTreeMap;

use super::Checker;
use crate::api::settings::{
    DOMAINS_MOST, ORIGINS_MOST, RATE_MOST, SESSION_IDLE, SESSION_LONGEST, UPLOAD_LEAST, UPLOAD_MOST,
};
use crate::api::{self, RegistrationMode, quantity};
use crate::validate::notation;
use crate::validate::platform::{Settings, Tracing};

impl Checker<'_> {
    /// The settings, with nothing in them where the services' own defaults hold.
    pub(super) fn settings(&mut self, spec: &api::ChatPlatformSpec) -> Settings {
        let gateway = spec.gateway.clone().unwrap_or_default();
        let allowed_origins = gateway.allowed_origins.unwrap_or_default();
        self.origins(&allowed_origins);
        let rates = self.rates(&gateway.rate_limits.unwrap_or_default());
        let auth = spec.auth.clone().unwrap_or_default();
        let registration = auth.registration.unwrap_or_default();
        let email_domains = registration.email_domains.unwrap_or_default();
        self.email_domains(&email_domains);
        let session_hours = self.sessions(&auth.sessions.unwrap_or_default());
        let largest = spec.media.as_ref().and_then(|media| media.max_upload_size.as_ref());
        let upload_bytes = largest.and_then(|size| self.upload_size(size));
        let tracing = self.tracing(spec.tracing.as_ref());
        let pod_monitor = spec.monitoring.as_ref().and_then(|monitoring| monitoring.pod_monitor.clone());
        self.pod_monitor(pod_monitor.as_ref());
        Settings {
            allowed_origins,
            rates,
            registration_open: registration.mode.map(|mode| mode == RegistrationMode::Open),
            email_domains,
            session_hours,
            upload_bytes,
            tracing,
            pod_monitor,
        }
    }

    fn origins(&mut self, origins: &[String]) {
        let field = "spec.gateway.allowedOrigins";
        let cure = "write origins such as https://app.example.com, each without path, or * for every page";
        if origins.len() > ORIGINS_MOST {
            self.fault(field, format!("{} are more than {ORIGINS_MOST}: {cure}", origins.len()));
        }
        for origin in origins.iter().filter(|origin| *origin != "*" && !notation::is_origin(origin)) {
            self.fault(field, format!("{origin:?} is no origin: {cure}"));
        }
    }

    fn email_domains(&mut self, domains: &[String]) {
        let field = "spec.auth.registration.emailDomains";
        let cure = "write domains in lower case, such as acme.example";
        if domains.len() > DOMAINS_MOST {
            self.fault(field, format!("{} are more than {DOMAINS_MOST}: {cure}", domains.len()));
        }
        for domain in domains.iter().filter(|domain| !notation::is_domain(domain)) {
            self.fault(field, format!("{domain:?} is no domain: {cure}"));
        }
    }

    fn sessions(&mut self, sessions: &api::Sessions) -> (Option<i64>, Option<i64>) {
        let hours = [("idle", &sessions.idle), ("longest", &sessions.longest)].map(|(name, written)| {
            let written = written.as_deref()?;
            self.hours(&format!("spec.auth.sessions.{name}"), written)
        });
        let [idle, longest] = hours;
        if idle.is_some() && idle > longest.or_else(|| notation::hours(SESSION_LONGEST)) {
            let cure = format!("raise longest, which is {SESSION_LONGEST} where it is left out, or lower idle");
            self.fault("spec.auth.sessions.idle", format!("is more than longest: {cure}"));
        }
        let shortened = longest.filter(|longest| Some(*longest) < notation::hours(SESSION_IDLE));
        (idle.or(shortened), longest)
    }

    fn rates(&mut self, limits: &api::RateLimits) -> BTreeMap<&'static str, (i32, i32)> {
        let classes = [
            ("auth", limits.auth),
            ("read", limits.read),
            ("write", limits.write),
            ("upload", limits.upload),
            ("socket", limits.socket),
        ];
        let mut rates = BTreeMap::new();
        for (class, rate) in classes {
            let Some(rate) = rate else { continue };
            for (name, number) in [("perMinute", Some(rate.per_minute)), ("burst", rate.burst)] {
                if let Some(number) = number.filter(|number| !(1..=RATE_MOST).contains(number)) {
                    let cure = format!("write a number of requests from 1 to {RATE_MOST}");
                    self.fault(format!("spec.gateway.rateLimits.{class}.{name}"), format!("{number} is none: {cure}"));
                }
            }
            rates.insert(class, (rate.per_minute, rate.burst.unwrap_or(rate.per_minute)));
        }
        rates
    }

    fn tracing(&mut self, tracing: Option<&api::Tracing>) -> Option<Tracing> {
        let api::Tracing { endpoint, sampling_percent } = tracing?;
        let percent = sampling_percent.unwrap_or(100);
        if !(0..=100).contains(&percent) {
            let cure = "write a share in percent from 0 to 100";
            self.fault("spec.tracing.samplingPercent", format!("{percent} is none: {cure}"));
        }
        let port = notation::http_port(endpoint);
        if port.is_none() {
            let cure = "write a URL without path and with the scheme http, such as http://collector.monitoring:4318";
            self.fault("spec.tracing.endpoint", format!("{endpoint:?} is no such URL: {cure}"));
        }
        Some(Tracing { endpoint: endpoint.trim_end_matches('/').to_owned(), port: port?, percent })
    }

    fn pod_monitor(&mut self, monitor: Option<&api::PodMonitor>) {
        let Some(monitor) = monitor else { return };
        let field = "spec.monitoring.podMonitor";
        self.labels(&format!("{field}.labels"), &monitor.labels);
        self.not_ours(&format!("{field}.labels"), "label", &monitor.labels);
        if let Some(interval) = monitor.interval.as_deref().filter(|interval| !notation::is_interval(interval)) {
            let cure = "write a number with one unit of ms, s, m or h, such as 30s";
            self.fault(format!("{field}.interval"), format!("{interval:?} is no such time: {cure}"));
        }
    }

    fn upload_size(&mut self, size: &api::Quantity) -> Option<u64> {
        let bound = |notation| quantity::milli(notation).unwrap_or_default();
        let milli = size.milli().filter(|milli| (bound(UPLOAD_LEAST)..=bound(UPLOAD_MOST)).contains(milli));
        if milli.is_none() {
            let cure = format!("write a size from {UPLOAD_LEAST} to {UPLOAD_MOST}, such as 250Mi");
            self.fault("spec.media.maxUploadSize", format!("{:?} is no such size: {cure}", size.as_str()));
        }
        milli.and_then(|milli| u64::try_from(milli / 1000).ok())
    }
}
