//! Clients that make requests without a pause while something happens, and a count of those that failed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use ureq::Agent;

use crate::balancer::Balancer;
use crate::program::Program;

/// How many of each sort: those that keep their connection, and those that make a new one for each request.
const CLIENTS: usize = 4;
/// How long a connection is kept that is not in use, as by the edge.
const KEEP_IDLE: Duration = Duration::from_secs(4);
/// Between the requests of one client, so that its connection is idle at times.
const PAUSE_MILLISECONDS: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
/// How long requests may stand still.
const MORE_WITHIN: Duration = Duration::from_mins(1);
/// How many requests are answered between two steps of a replacement.
const SEVERAL: usize = 100;
/// How long a program may take to stop.
const GONE_WITHIN: Duration = Duration::from_mins(1);

/// A request that has to be answered with 2xx.
pub struct Request {
    /// Such as `PATCH`.
    pub method: &'static str,
    /// Begins with a slash.
    pub path: String,
    /// Beside those of a body.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, if it has any.
    pub body: Option<Value>,
}

/// Requests under way. Dropping it ends them.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Load {
    /// Makes requests without a pause at an address, by eight clients at once; `request` is told how many its client has made. None is
    /// made twice.
    pub fn start(balancer: &Balancer, request: impl Fn(usize) -> Request + Send + Sync + 'static) -> Self {
        let shared = Arc::<Shared>::default();
        let request = Arc::new(request);
        let client = |number: usize| {
            let (shared, request, url) = (Arc::clone(&shared), Arc::clone(&request), balancer.url());
            thread::spawn(move || shared.run(number.is_multiple_of(2), &url, &*request))
        };
        let clients = (0..2 * CLIENTS).map(client).collect();
        Self { shared, clients }
    }

    /// Waits until so many more have been answered.
    pub fn wait_for_more(&self, count: usize) -> Result<()> {
        let target = self.shared.answered.load(Ordering::Relaxed) + count;
        let deadline = Instant::now() + MORE_WITHIN;
        while self.shared.answered.load(Ordering::Relaxed) < target {
            if Instant::now() > deadline {
                bail!("fewer than {count} requests were answered within {MORE_WITHIN:?}: {:?}", self.failures());
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Has a program take the place of another as Kubernetes has it, which tells the old one to stop before everybody knows where the
    /// new one is: for a while, new connections still come to the old one.
    pub fn replace(&self, balancer: &Balancer, mut old: Program, new: &Program) -> Result<()> {
        balancer.lead_to(&[&old])?;
        self.wait_for_more(SEVERAL)?;
        old.terminate()?;
        let deadline = Instant::now() + MORE_WITHIN;
        while old.is_ready() {
            ensure!(Instant::now() < deadline, "it is still ready after {MORE_WITHIN:?}");
            sleep(POLL);
        }
        self.wait_for_more(SEVERAL)?;
        balancer.lead_to(&[new])?;
        let left = old.wait(GONE_WITHIN)?;
        ensure!(left.success(), "it ended with {left}");
        self.wait_for_more(SEVERAL)
    }

    /// Ends, and says how many were answered. It is an error if any failed.
    pub fn end(mut self) -> Result<usize> {
        self.stop();
        let (answered, failures) = (self.shared.answered.load(Ordering::Relaxed), self.failures());
        match failures.first() {
            None => Ok(answered),
            Some(first) => bail!("{} failed of {}, the first: {first}", failures.len(), failures.len() + answered),
        }
    }

    fn failures(&self) -> Vec<String> {
        self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            if client.join().is_err() {
                self.shared.fail("a client panicked".to_owned());
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self, keeps: bool, url: &str, request: &dyn Fn(usize) -> Request) {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let agent: Agent = config.max_idle_age(KEEP_IDLE).max_idle_connections(usize::from(keeps)).build().into();
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            match send(&agent, url, request(number)) {
                Ok(()) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => self.fail(format!("{} connection: {error:#}", if keeps { "a kept" } else { "a new" })),
            }
            sleep(Duration::from_millis(rand::random_range(0..PAUSE_MILLISECONDS)));
        }
    }

    fn fail(&self, why: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(why);
    }
}

fn send(agent: &Agent, url: &str, request: Request) -> Result<()> {
    let Request { method, path, headers, body } = request;
    let head = ureq::http::Request::builder().method(method).uri(format!("{url}{path}"));
    let head = headers.into_iter().fold(head, |head, (name, value)| head.header(name, value));
    let sent = match body {
        None => agent.run(head.body(())?),
        Some(body) => agent.run(head.header("content-type", "application/json").body(body.to_string())?),
    };
    let mut answer = sent?;
    let text = answer.body_mut().read_to_string()?;
    ensure!(answer.status().is_success(), "{method} {path} is answered {}: {text}", answer.status());
    Ok(())
}
