//! A request to a service: an address is chosen, another one if it does not take the connection, and how that ends is
//! remembered.

use std::{
    error::Error as _,
    io,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response, header};
use http_body_util::LengthLimitError;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tower::retry::budget::{Budget as _, TpsBudget};

use super::{
    Answer, Base,
    breaker::{Breaker, Outcome, Policy},
    discovery::Names,
    endpoint::{Endpoint, Lease, Tag},
    endpoints::Endpoints,
    message::Message,
    metrics::{PoolMetrics, Reason},
};
use crate::{
    error::GatewayError,
    routes::Upstream,
    settings::{Breaker as BreakerSettings, Retries},
};

/// Services are in the same cluster: a connection takes a millisecond or is not to be had.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How often one request may be sent again after it had perhaps arrived.
const REPEATED: u32 = 2;
/// When no address took the connection, all are asked again after these pauses: pods and their names change hands.
const ROUNDS: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200)];
/// Names are not asked again sooner than this, however many requests fail.
const ASK_NOT_BEFORE: Duration = Duration::from_millis(50);
/// The time over which requests earn retries.
const BUDGET_OVER: Duration = Duration::from_secs(10);

/// Where a service is found.
#[derive(Debug, Clone)]
pub struct Whereabouts {
    /// Its base URL. The host is what requests name as theirs.
    pub base: Base,
    /// A name of all of its addresses. Without one they are those of `base`; with one, `base` is asked when none of them answers.
    pub endpoints: Option<Base>,
    /// How often names are asked.
    pub refresh: Duration,
}

/// Everything about one service. The addresses are looked for as long as it lives.
pub struct Pool {
    upstream: Upstream,
    whereabouts: Whereabouts,
    names: Names,
    client: Client<HttpConnector, Body>,
    endpoints: ArcSwap<Endpoints>,
    looked: watch::Sender<bool>,
    look_again: Notify,
    breaker: Arc<Breaker>,
    budget: TpsBudget,
    metrics: PoolMetrics,
    names_fail: AtomicBool,
}

/// What a request is told on its way.
#[derive(Debug, Clone, Copy)]
pub struct Trip {
    /// Until the answer's head must be there.
    pub deadline: Duration,
    /// The most bytes of the body.
    pub body_limit: u64,
    /// Where it belongs, if it belongs to a session.
    pub tag: Option<Tag>,
    /// Whether it may be sent again after it had perhaps arrived, if its method says that this does no harm.
    pub may_repeat: bool,
}

/// Why nobody took the request.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// Its name leads nowhere.
    #[error("it has no address")]
    NoAddress,
    /// None of its addresses took a connection a moment ago.
    #[error("all of its addresses are set aside")]
    SetAside,
    /// None of its addresses takes the connection.
    #[error("no connection")]
    NotConnected(#[source] Error),
}

/// What a failure says.
enum Failure {
    /// Nothing was sent, for the endpoint takes no connection.
    NotConnected,
    /// Nothing was sent, for a reason of our own.
    NotSent,
    /// It may have arrived.
    BrokenOff,
    /// The client broke it off.
    ByClient,
}

impl Pool {
    /// The pool of a service, which begins to look for addresses at once. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        upstream: Upstream,
        whereabouts: Whereabouts,
        names: Names,
        client: Client<HttpConnector, Body>,
        retries: Retries,
        breaker: BreakerSettings,
        metrics: PoolMetrics,
    ) -> Arc<Self> {
        let policy = Policy {
            consecutive: breaker.consecutive_failures,
            percent: breaker.failure_percent,
            pause: Duration::from_millis(breaker.open_milliseconds),
            longest: Duration::from_millis(breaker.longest_open_milliseconds),
        };
        let pool = Arc::new(Self {
            upstream,
            whereabouts,
            names,
            client,
            endpoints: ArcSwap::default(),
            looked: watch::Sender::new(false),
            look_again: Notify::new(),
            breaker: Arc::new(Breaker::new(policy)),
            budget: budget(retries),
            metrics,
            names_fail: AtomicBool::new(false),
        });
        tokio::spawn(keep_looking(Arc::downgrade(&pool)));
        pool
    }

    /// Sends a request and returns the answer once its head is there.
    pub async fn send(self: &Arc<Self>, request: Request<Body>, trip: Trip) -> Result<Answer, GatewayError> {
        let permit = self.breaker.admit(Instant::now()).map_err(|wait| GatewayError::Resting(self.upstream, wait))?;
        let outcome = match timeout(trip.deadline, self.attempts(request, trip)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(GatewayError::Timeout(self.upstream)),
        };
        match &outcome {
            Ok(_) => permit.tell(Outcome::Answered, Instant::now()),
            Err(GatewayError::Unreachable(..) | GatewayError::BadGateway(..) | GatewayError::Timeout(_)) => {
                permit.tell(Outcome::Failed, Instant::now());
            }
            // What the client did says nothing about the service.
            Err(_) => drop(permit),
        }
        self.metrics.breaker(self.breaker.level());
        outcome
    }

    async fn attempts(self: &Arc<Self>, request: Request<Body>, trip: Trip) -> Result<Answer, GatewayError> {
        let host = self.whereabouts.base.header();
        let message = Message::new(request, host).await.map_err(|error| aborted(error, trip.body_limit))?;
        self.budget.deposit();
        self.wait_for_names().await;
        let mut tried = Vec::new();
        let mut rounds = ROUNDS.into_iter();
        let mut repeats = REPEATED;
        let mut last = None;
        loop {
            let Some(endpoint) = self.choose(trip.tag, &tried) else {
                let Some(pause) = rounds.next() else { return Err(self.nobody(last, trip.body_limit)) };
                self.look_again.notify_one();
                sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                tried.clear();
                continue;
            };
            let Some(request) = message.to(endpoint.authority())? else {
                return Err(self.nobody(last, trip.body_limit));
            };
            let lease = Lease::new(Arc::clone(&endpoint));
            let error = match self.client.request(request).await {
                Ok(response) => {
                    endpoint.answered();
                    if closes(&response) {
                        endpoint.turn_away();
                    }
                    return Ok(Answer { response, lease });
                }
                Err(error) => error,
            };
            drop(lease);
            let again = match failure_of(&error) {
                Failure::NotConnected => {
                    self.set_aside(&endpoint);
                    self.metrics.again(Reason::NotConnected);
                    true
                }
                Failure::NotSent => true,
                Failure::BrokenOff => {
                    if endpoint.broke_off() {
                        self.set_aside(&endpoint);
                    }
                    trip.may_repeat && self.may_repeat(&message, &mut repeats)
                }
                Failure::ByClient => false,
            };
            if !again {
                return Err(self.blame(error, trip.body_limit));
            }
            tracing::debug!(
                upstream = self.upstream.name(),
                address = %endpoint.address(),
                error = runtime::telemetry::chain(&error),
                "trying another address"
            );
            tried.push(endpoint);
            last = Some(error);
        }
    }

    fn choose(&self, tag: Option<Tag>, tried: &[Arc<Endpoint>]) -> Option<Arc<Endpoint>> {
        let endpoints = self.endpoints.load();
        let own = tag.and_then(|tag| endpoints.tagged(tag));
        own.filter(|own| !tried.iter().any(|known| Arc::ptr_eq(known, own)))
            .or_else(|| endpoints.choose(tried, |below| rand::random_range(0..below)))
    }

    /// Whether a request that may have arrived is sent again.
    fn may_repeat(&self, message: &Message, repeats: &mut u32) -> bool {
        if !message.may_be_repeated() || *repeats == 0 {
            return false;
        }
        *repeats -= 1;
        let within_budget = self.budget.withdraw();
        self.metrics.again(if within_budget { Reason::BrokenOff } else { Reason::OverBudget });
        within_budget
    }

    fn set_aside(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        self.look_again.notify_one();
        if endpoint.set_aside() {
            tracing::info!(upstream = self.upstream.name(), address = %endpoint.address(), "set aside");
            self.metrics.set_aside(1);
            tokio::spawn(probe(Arc::downgrade(self), Arc::downgrade(endpoint)));
        }
    }

    fn nobody(&self, last: Option<Error>, body_limit: u64) -> GatewayError {
        if let Some(error) = last {
            return self.blame(error, body_limit);
        }
        let is_empty = self.endpoints.load().is_empty();
        let reason = if is_empty { Unreachable::NoAddress } else { Unreachable::SetAside };
        GatewayError::Unreachable(self.upstream, reason)
    }

    fn blame(&self, error: Error, body_limit: u64) -> GatewayError {
        match failure_of(&error) {
            Failure::NotConnected | Failure::NotSent => {
                GatewayError::Unreachable(self.upstream, Unreachable::NotConnected(error))
            }
            Failure::BrokenOff => GatewayError::BadGateway(self.upstream, error),
            Failure::ByClient => aborted(error, body_limit),
        }
    }

    /// At the very start nothing is known yet.
    async fn wait_for_names(&self) {
        if !*self.looked.borrow() {
            // The sender is ours, and so there as long as we are.
            let _ = self.looked.subscribe().wait_for(|looked| *looked).await;
        }
    }

    async fn look(&self) {
        let main = self.whereabouts.endpoints.as_ref().unwrap_or(&self.whereabouts.base);
        let found = self.ask(main).await;
        let found_fallback = match &self.whereabouts.endpoints {
            Some(_) => self.ask(&self.whereabouts.base).await,
            None => None,
        };
        let before = self.endpoints.load_full();
        let mut after = Endpoints::clone(&before);
        if let Some(found) = found {
            after = after.after(&found, Instant::now());
        }
        if let Some(found) = found_fallback {
            after = after.after_fallback(&found);
        }
        let is_new =
            after.current().iter().any(|endpoint| !before.current().iter().any(|old| Arc::ptr_eq(old, endpoint)));
        if !after.is_like(&before) {
            let addresses: Vec<_> = after.current().iter().map(|endpoint| endpoint.address()).collect();
            tracing::info!(upstream = self.upstream.name(), ?addresses, "addresses changed");
            self.metrics.endpoints(addresses.len());
            self.endpoints.store(Arc::new(after));
        }
        if is_new {
            self.breaker.give_a_chance();
        }
        self.looked.send_replace(true);
    }

    /// None if the name server does not say: then what is known stays.
    async fn ask(&self, base: &Base) -> Option<Vec<SocketAddr>> {
        match self.names.addresses(base).await {
            Ok(addresses) => {
                self.names_fail.store(false, Ordering::Relaxed);
                Some(addresses)
            }
            Err(error) => {
                if !self.names_fail.swap(true, Ordering::Relaxed) {
                    let error = runtime::telemetry::chain(&error);
                    tracing::warn!(host = base.host(), error, "the name server does not say; going by what it said");
                }
                None
            }
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("upstream", &self.upstream)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

/// Looks for addresses now and then, and soon when one of them fails.
fn keep_looking(pool: Weak<Pool>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        while let Some(pool) = pool.upgrade() {
            pool.look().await;
            sleep(ASK_NOT_BEFORE).await;
            let refresh = pool.whereabouts.refresh;
            let _ = timeout(refresh, pool.look_again.notified()).await;
        }
    })
}

/// Connects to an address that was set aside until it takes the connection; no request has to find that out.
async fn probe(pool: Weak<Pool>, endpoint: Weak<Endpoint>) {
    while let Some((address, pause)) = endpoint.upgrade().map(|endpoint| (endpoint.address(), endpoint.next_pause())) {
        sleep(pause).await;
        if !matches!(timeout(CONNECT_WITHIN, TcpStream::connect(address)).await, Ok(Ok(_))) {
            continue;
        }
        if let (Some(pool), Some(endpoint)) = (pool.upgrade(), endpoint.upgrade()) {
            tracing::info!(upstream = pool.upstream.name(), %address, "takes connections again");
            endpoint.take_back();
            pool.breaker.give_a_chance();
        }
        break;
    }
    if let Some(pool) = pool.upgrade() {
        pool.metrics.set_aside(-1);
    }
}

fn budget(retries: Retries) -> TpsBudget {
    TpsBudget::new(BUDGET_OVER, retries.per_second.into(), f32::from(retries.percent) / 100.0)
}

/// A server closes the connection after an answer when it is about to stop.
fn closes(response: &Response<Incoming>) -> bool {
    response
        .headers()
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("close"))
}

fn failure_of(error: &Error) -> Failure {
    if error.is_connect() {
        return if is_ours(error) { Failure::NotSent } else { Failure::NotConnected };
    }
    match cause::<hyper::Error>(error) {
        Some(cause) if cause.is_canceled() => Failure::NotSent,
        Some(cause) if cause.is_user() => Failure::ByClient,
        _ => Failure::BrokenOff,
    }
}

/// Whether a connection failed for want of files or ports on this side.
fn is_ours(error: &Error) -> bool {
    /// Numbers of errors of Linux: too many open files, of the process and of the system; no address to connect from.
    const OURS: [i32; 3] = [24, 23, 99];
    cause::<io::Error>(error).and_then(io::Error::raw_os_error).is_some_and(|number| OURS.contains(&number))
}

fn aborted(error: impl std::error::Error + Send + Sync + 'static, body_limit: u64) -> GatewayError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(known) = cause {
        if known.is::<LengthLimitError>() {
            return GatewayError::Body(body_limit);
        }
        cause = known.source();
    }
    GatewayError::Aborted(Box::new(error))
}

/// The first error of type `T` among the causes.
fn cause<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<T>() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}
