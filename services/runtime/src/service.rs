//! A service from its first listener to its last answer: two listeners (the public one and the admin one), tasks beside
//! them, and a stop that loses nothing.

use std::{fmt, future::Future, io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use contract::problem::Problem;
use futures::future::BoxFuture;
use http::{StatusCode, header};
use tokio::{net::TcpListener, task::JoinSet};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    config::Server,
    health::Health,
    keys::KeyRings,
    metrics::{self, Metrics},
    problem,
    shutdown::{self, Shutdown},
    trace,
};

mod listener;

/// How long work may go on, and probes be answered, after time is up and before the process leaves.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why a service stopped other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be received.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    /// One of its tasks ended with an error.
    #[error("task {name} failed: {reason}")]
    Task {
        /// Which.
        name: &'static str,
        /// Why.
        reason: String,
    },
}

/// What a task of a service may return: nothing, or a result whose error stops the service.
pub trait TaskOutput {
    /// The reason it failed, if it did.
    fn failure(self) -> Option<String>;
}

impl TaskOutput for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> TaskOutput for Result<(), E> {
    fn failure(self) -> Option<String> {
        // The alternate form of anyhow's errors has their causes.
        self.err().map(|error| format!("{error:#}"))
    }
}

/// A service being put together.
#[must_use = "a service does nothing until it is run"]
pub struct Service {
    name: &'static str,
    settings: Server,
    router: Router,
    health: Health,
    metrics: Metrics,
    keys: KeyRings,
    tasks: Vec<Task>,
    shutdown: Shutdown,
}

struct Task {
    name: &'static str,
    work: BoxFuture<'static, Option<String>>,
}

impl Service {
    /// A service called `name` in logs and reports.
    pub fn new(name: &'static str, settings: &Server) -> Self {
        Self {
            name,
            settings: settings.clone(),
            router: Router::new(),
            health: Health::new(),
            metrics: Metrics::new(),
            keys: KeyRings::new(),
            tasks: Vec::new(),
            shutdown: Shutdown::new(),
        }
    }

    /// What the public listener answers. Tracing, metrics, a log line and a problem for panics and bare errors are added
    /// around it.
    pub fn router(mut self, router: Router) -> Self {
        self.router = router;
        self
    }

    /// The checks behind `/readyz` and `/health`.
    pub fn health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// The registry behind `/metrics`.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The key rings that `/health` and `/metrics` tell of.
    pub fn keys(mut self, keys: KeyRings) -> Self {
        self.keys = keys;
        self
    }

    /// Work beside the listeners: a consumer, an outbox relay. It has to watch [`Shutdown::soft`] and end; the stop waits
    /// for it. Should it fail before, the service stops too, with an error.
    pub fn task<F>(mut self, name: &'static str, future: F) -> Self
    where
        F: Future + Send + 'static,
        F::Output: TaskOutput,
    {
        self.tasks.push(Task { name, work: Box::pin(async move { future.await.failure() }) });
        self
    }

    /// Stops by this token set instead of one of its own, for who needs it before the service is put together.
    pub fn with_shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// The phases of this service's stop, to hand to tasks and sockets.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Listens, serves until SIGTERM or SIGINT, and stops in order.
    #[must_use]
    pub fn run(self) -> BoxFuture<'static, Result<(), ServiceError>> {
        Box::pin(async move {
            let shutdown = self.shutdown.clone();
            let bound = self.bind().await?;
            let signals = stop_on_signals(shutdown).map_err(ServiceError::Signals)?;
            let outcome = bound.serve().await;
            signals.abort();
            outcome
        })
    }

    /// Opens both listeners, so that their addresses are known before anything is served.
    pub async fn bind(self) -> Result<Bound, ServiceError> {
        let public = listen(self.settings.listen).await?;
        let admin = listen(self.settings.admin_listen).await?;
        Ok(Bound { service: self, public, admin })
    }

    fn public_router(&self) -> Router {
        self.router
            .clone()
            .layer(middleware::from_fn(name_bare_errors))
            .layer(CatchPanicLayer::custom(answer_panic))
            .layer(middleware::from_fn_with_state(self.metrics.clone(), metrics::layer))
            .layer(middleware::from_fn(trace::layer))
    }

    fn admin_router(&self) -> Router {
        let metrics = self.metrics.clone();
        metrics.collect(self.keys.clone());
        self.health
            .clone()
            .router(self.name, self.keys.clone(), self.shutdown.clone())
            .route("/metrics", get(async move || metrics.answer()))
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A service that listens and does not answer yet.
#[derive(Debug)]
#[must_use = "a bound service answers nothing until it is served"]
pub struct Bound {
    service: Service,
    public: TcpListener,
    admin: TcpListener,
}

impl Bound {
    /// The address of the public listener.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// The address of the admin listener.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// The phases of this service's stop.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.service.shutdown()
    }

    /// Serves until the stop has begun and gone through.
    ///
    /// On the heap for the reason of [`crate::program::Assembly`].
    #[must_use]
    pub fn serve(self) -> BoxFuture<'static, Result<(), ServiceError>> {
        Box::pin(self.until_the_end())
    }

    async fn until_the_end(self) -> Result<(), ServiceError> {
        let Self { service, public, admin } = self;
        let shutdown = service.shutdown.clone();
        let settle = Duration::from_secs(service.settings.settle_seconds);
        let drain = Duration::from_secs(service.settings.drain_seconds);
        tracing::info!(service = service.name, version = env!("CARGO_PKG_VERSION"), "listening");

        let admin_shutdown = Shutdown::new();
        let admin_server = tokio::spawn(listener::serve(admin, service.admin_router(), admin_shutdown.clone()));
        let public_server = tokio::spawn(listener::serve(public, service.public_router(), shutdown.clone()));
        let tasks = tokio::spawn(run_tasks(service.tasks, shutdown.clone()));

        let clean = shutdown.walk(settle, drain).await;
        if !clean {
            tracing::warn!(
                service = service.name,
                left = shutdown.count_in_hand(),
                "time is up; giving up what is still in hand"
            );
        }
        // Everything has been told to end by now; what does not is dropped with the runtime.
        let _ = tokio::time::timeout(LAST_WORDS, public_server).await;
        let failure = match tokio::time::timeout(LAST_WORDS, tasks).await {
            Ok(Ok(failure)) => failure,
            _ => None,
        };
        // Probes are answered to the end.
        admin_shutdown.soft().cancel();
        admin_shutdown.hard().cancel();
        let _ = tokio::time::timeout(LAST_WORDS, admin_server).await;
        tracing::info!(service = service.name, clean, "stopped");
        failure.map_or(Ok(()), Err)
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServiceError> {
    TcpListener::bind(address).await.map_err(|source| ServiceError::Listen { address, source })
}

fn stop_on_signals(shutdown: Shutdown) -> io::Result<tokio::task::JoinHandle<()>> {
    let asked = shutdown::asked_to_stop()?;
    Ok(tokio::spawn(async move {
        let name = asked.await;
        tracing::info!(signal = name, "stopping");
        shutdown.begin();
    }))
}

/// Runs all tasks; the first to fail begins the stop and is the reason given.
async fn run_tasks(tasks: Vec<Task>, shutdown: Shutdown) -> Option<ServiceError> {
    let mut running = JoinSet::new();
    for Task { name, work } in tasks {
        let work = shutdown.spawn(work);
        running.spawn(async move {
            match work.await {
                Ok(Some(Some(reason))) => Some(ServiceError::Task { name, reason }),
                Ok(_) => None,
                Err(error) => Some(ServiceError::Task { name, reason: error.to_string() }),
            }
        });
    }
    let mut first = None;
    while let Some(ended) = running.join_next().await {
        if let Ok(Some(error)) = ended {
            tracing::error!(error = error.to_string(), "a task failed; stopping");
            shutdown.begin();
            first.get_or_insert(error);
        }
    }
    first
}

/// A router answers "no such route" and "not this method" with an empty body; clients shall find a problem in every error.
async fn name_bare_errors(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.headers().contains_key(header::CONTENT_TYPE) {
        return response;
    }
    let problem = match response.status() {
        StatusCode::NOT_FOUND => Problem::not_found("No route leads here."),
        status @ StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(status, "method-not-allowed", "This method is not allowed here")
        }
        _ => return response,
    };
    let mut named = problem::ApiError::from(problem).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        named.headers_mut().insert(header::ALLOW, allow.clone());
    }
    named
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn answer_panic(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let reason = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("of unknown cause")
        .to_owned();
    problem::ApiError::internal(format!("a handler panicked: {reason}")).into_response()
}
