//! Health: `/livez` (is the process itself alive), `/readyz` (can it do its work: its own dependencies, with reasons) and
//! `/health` (the sum, for people and dashboards).

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::{BoxFuture, join_all};
use http::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;

use contract::keys::KeysInUse;

use crate::keys::KeyRings;
use crate::shutdown::Shutdown;

/// How long one check may take; below the one second and more that probes wait, several of them in parallel.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Probes come from several sides; the servers behind need not notice each of them.
const KEEP: Duration = Duration::from_secs(1);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The checks of a service's dependencies.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<Dependency>,
}

#[derive(Clone)]
struct Dependency {
    name: &'static str,
    check: Check,
    needed: bool,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|dependency| dependency.name)).finish()
    }
}

impl Health {
    /// No dependencies yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more dependency; the closure says why it cannot be used. Liveness never asks it.
    #[must_use]
    pub fn check<F, R, E>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.with(name, check, true)
    }

    /// With one more dependency without which the service does less, but something: told by `/health`, not decisive for
    /// `/readyz`.
    #[must_use]
    pub fn inform<F, R, E>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.with(name, check, false)
    }

    fn with<F, R, E>(mut self, name: &'static str, check: F, needed: bool) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let check: Check = Arc::new(move || {
            let answer = check();
            Box::pin(async move { answer.await.map_err(|error| error.to_string()) })
        });
        self.checks.push(Dependency { name, check, needed });
        self
    }

    /// The routes of the admin listener.
    pub(crate) fn router(self, service: &'static str, keys: KeyRings, shutdown: Shutdown) -> Router {
        let began = Instant::now();
        let state = Arc::new(Prober { service, began, health: self, keys, shutdown, last: Mutex::default() });
        let (ready, health) = (Arc::clone(&state), state);
        Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(async move || ready.ready().await))
            .route("/health", get(async move || health.health().await))
    }
}

struct Prober {
    service: &'static str,
    began: Instant,
    health: Health,
    keys: KeyRings,
    shutdown: Shutdown,
    last: Mutex<Option<(Instant, Findings)>>,
}

type Findings = BTreeMap<&'static str, Finding>;

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    milliseconds: u64,
    #[serde(skip)]
    needed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    status: &'static str,
    service: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    checks: Findings,
    keys: KeysInUse,
}

impl Prober {
    async fn ready(&self) -> Response {
        if self.shutdown.draining().is_cancelled() {
            return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
        }
        let findings = self.findings().await;
        let unwell: Vec<_> = findings
            .iter()
            .filter(|(_, finding)| finding.needed)
            .filter_map(|(name, finding)| Some(format!("{name}: {}\n", finding.reason.as_ref()?)))
            .collect();
        if unwell.is_empty() {
            "ready\n".into_response()
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, unwell.concat()).into_response()
        }
    }

    async fn health(&self) -> Response {
        let checks = self.findings().await;
        let status = if self.shutdown.draining().is_cancelled() {
            "draining"
        } else if checks.values().all(|finding| finding.reason.is_none()) {
            "ok"
        } else {
            "failing"
        };
        let code = if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let report = Report {
            status,
            service: self.service,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.began.elapsed().as_secs(),
            checks,
            keys: self.keys.in_use(),
        };
        (code, Json(report)).into_response()
    }

    async fn findings(&self) -> Findings {
        let mut last = self.last.lock().await;
        if let Some((at, findings)) = &*last
            && at.elapsed() < KEEP
        {
            return findings.clone();
        }
        let findings: Findings = join_all(self.health.checks.iter().map(find)).await.into_iter().collect();
        *last = Some((Instant::now(), findings.clone()));
        findings
    }
}

async fn find(dependency: &Dependency) -> (&'static str, Finding) {
    let Dependency { name, check, needed } = dependency;
    let began = Instant::now();
    let reason = match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(_) => Some(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
    };
    if let Some(reason) = &reason {
        tracing::warn!(check = name, reason, needed, "a dependency fails");
    }
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = if reason.is_none() { "ok" } else { "failing" };
    (name, Finding { status, reason, milliseconds, needed: *needed })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::{body::Body, extract::Request};
    use tower::ServiceExt;

    use super::*;

    async fn get_text(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_failing_dependency_ends_readiness_with_its_reason_but_never_liveness() {
        let health = Health::new()
            .check("cellar", async || Ok::<_, String>(()))
            .check("attic", async || Err("the roof is gone".to_owned()));
        let router = health.router("house", KeyRings::new(), Shutdown::new());
        assert_eq!(get_text(&router, "/livez").await, (StatusCode::OK, "alive\n".into()));
        assert_eq!(
            get_text(&router, "/readyz").await,
            (StatusCode::SERVICE_UNAVAILABLE, "attic: the roof is gone\n".into())
        );
        let (status, body) = get_text(&router, "/health").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status"], "failing");
        assert_eq!(body["checks"]["cellar"]["status"], "ok");
        assert_eq!(body["checks"]["attic"]["reason"], "the roof is gone");
    }

    #[tokio::test]
    async fn what_is_only_informed_about_does_not_end_readiness() {
        let health = Health::new().inform("attic", async || Err("the roof is gone".to_owned()));
        let router = health.router("house", KeyRings::new(), Shutdown::new());
        assert_eq!(get_text(&router, "/readyz").await.0, StatusCode::OK);
        let (status, body) = get_text(&router, "/health").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("the roof is gone"), "{body}");
    }

    #[tokio::test]
    async fn a_dependency_that_hangs_is_not_ready() {
        let health = Health::new().check("oracle", std::future::pending::<Result<(), String>>);
        let (status, body) = get_text(&health.router("house", KeyRings::new(), Shutdown::new()), "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("oracle: no answer within 2 s"), "{body}");
    }

    #[tokio::test]
    async fn a_service_that_is_stopping_is_not_ready_yet_alive() {
        let shutdown = Shutdown::new();
        let router = Health::new().router("house", KeyRings::new(), shutdown.clone());
        assert_eq!(get_text(&router, "/readyz").await.0, StatusCode::OK);
        shutdown.begin();
        assert_eq!(get_text(&router, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, "draining\n".into()));
        assert_eq!(get_text(&router, "/livez").await.0, StatusCode::OK);
    }
}
