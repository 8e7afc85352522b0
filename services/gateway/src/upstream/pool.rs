//! A request to a service: an address is chosen, another one if it does not take the connection, and how that ends is
//! remembered.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tower::retry::budget::{Budget as _, TpsBudget};

use super::{
    Answer,
    body::ClientsTurn,
    breaker::{Breaker, Outcome, Policy},
    endpoint::{Endpoint, Lease, Tag},
    failure::{Failure, Unreachable, aborted},
    lookout::Lookout,
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
/// The time over which requests earn retries.
const BUDGET_OVER: Duration = Duration::from_secs(10);

/// Everything about one service. The addresses are looked for as long as it lives.
pub struct Pool {
    upstream: Upstream,
    lookout: Lookout,
    client: Client<HttpConnector, Body>,
    breaker: Arc<Breaker>,
    budget: TpsBudget,
    metrics: PoolMetrics,
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

impl Pool {
    /// The pool of a service, which begins to look for addresses at once. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        upstream: Upstream,
        lookout: Lookout,
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
            lookout,
            client,
            breaker: Arc::new(Breaker::new(policy)),
            budget: budget(retries),
            metrics,
        });
        tokio::spawn(keep_looking(Arc::downgrade(&pool)));
        pool
    }

    /// Sends a request and returns the answer once its head is there.
    pub async fn send(self: &Arc<Self>, request: Request<Body>, trip: Trip) -> Result<Answer, GatewayError> {
        let permit = self.breaker.admit(Instant::now()).map_err(|wait| GatewayError::Resting(self.upstream, wait))?;
        let turn = ClientsTurn::default();
        let outcome = match timeout(trip.deadline, self.attempts(request, trip, turn.clone())).await {
            Ok(outcome) => outcome,
            Err(_) if turn.is_now() => Err(GatewayError::ClientTooSlow),
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

    async fn attempts(
        self: &Arc<Self>,
        request: Request<Body>,
        trip: Trip,
        turn: ClientsTurn,
    ) -> Result<Answer, GatewayError> {
        let host = self.lookout.base().header();
        let message = Message::new(request, host, turn).await.map_err(|error| aborted(error, trip.body_limit))?;
        self.budget.deposit();
        self.lookout.wait_for_first_look().await;
        let mut tried = Vec::new();
        let mut rounds = ROUNDS.into_iter();
        let mut repeats = REPEATED;
        let mut last = None;
        loop {
            let Some(endpoint) = self.lookout.choose(trip.tag, &tried) else {
                let Some(pause) = rounds.next() else { return Err(self.nobody(last, trip.body_limit)) };
                self.lookout.look_soon();
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
            let again = match Failure::of(&error) {
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
        self.lookout.look_soon();
        if endpoint.set_aside() {
            tracing::info!(upstream = self.upstream.name(), address = %endpoint.address(), "set aside");
            self.metrics.set_aside(1);
            tokio::spawn(probe(Arc::downgrade(self), Arc::downgrade(endpoint)));
        }
    }

    fn give_a_chance(&self) {
        self.breaker.give_a_chance();
        self.metrics.breaker(self.breaker.level());
    }

    fn nobody(&self, last: Option<Error>, body_limit: u64) -> GatewayError {
        if let Some(error) = last {
            return self.blame(error, body_limit);
        }
        let reason = if self.lookout.is_empty() { Unreachable::NoAddress } else { Unreachable::SetAside };
        GatewayError::Unreachable(self.upstream, reason)
    }

    fn blame(&self, error: Error, body_limit: u64) -> GatewayError {
        match Failure::of(&error) {
            Failure::NotConnected | Failure::NotSent => {
                GatewayError::Unreachable(self.upstream, Unreachable::NotConnected(error))
            }
            Failure::BrokenOff => GatewayError::BadGateway(self.upstream, error),
            Failure::ByClient => aborted(error, body_limit),
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("upstream", &self.upstream).field("lookout", &self.lookout).finish_non_exhaustive()
    }
}

/// Looks for addresses now and then, and soon when one of them fails.
fn keep_looking(pool: Weak<Pool>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        while let Some(pool) = pool.upgrade() {
            if let Some(change) = pool.lookout.look().await {
                tracing::info!(upstream = pool.upstream.name(), addresses = ?change.addresses, "addresses changed");
                pool.metrics.endpoints(change.addresses.len());
                if change.has_new {
                    pool.give_a_chance();
                }
            }
            pool.lookout.until_next().await;
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
            pool.give_a_chance();
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn however_requests_fail_no_more_is_sent_again_than_the_budget_has(
            percent in 1_u16..=100, per_second in 0_u16..20, fail in prop::collection::vec(any::<bool>(), 1..2000)
        ) {
            let budget = budget(Retries { percent, per_second });
            let (mut requests, mut repeated) = (0_u32, 0_u32);
            for fails in fail {
                budget.deposit();
                requests += 1;
                repeated += u32::from(fails && budget.withdraw());
            }
            // Whole requests earn a retry: with 30 in a hundred every third one.
            let earned = requests / u32::from(100 / percent);
            let saved = u32::from(per_second) * 10;
            prop_assert!(repeated <= earned + saved, "{repeated} of {requests}");
        }

        #[test]
        fn a_failure_now_and_then_is_always_made_up_for(requests in 1_usize..500) {
            let budget = budget(Retries { percent: 20, per_second: 10 });
            for number in 0..requests {
                budget.deposit();
                prop_assert!(!number.is_multiple_of(6) || budget.withdraw());
            }
        }
    }
}
