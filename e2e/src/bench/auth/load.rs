//! People who log in again and again, each to an account of their own.

use std::thread;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};
use ureq::Agent;

use crate::interrupt;

/// How many log in at a time, for each core: enough to leave none idle.
const PEOPLE_A_CORE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(30);
const PASSWORD: &str = "a fine password";

/// People with accounts at a server.
pub(super) struct Load {
    url: String,
    names: Vec<String>,
}

/// What was answered within some time.
pub(super) struct LoggedIn {
    pub(super) times: Vec<Duration>,
    pub(super) within: Duration,
}

impl LoggedIn {
    pub(super) fn count(&self) -> u64 {
        self.times.len() as u64
    }
}

impl Load {
    /// Makes the accounts, and sees that a wrong password is refused.
    pub(super) fn prepare(url: &str) -> Result<Self> {
        let people = available_parallelism().map_or(1, usize::from) * PEOPLE_A_CORE;
        let load = Self { url: url.to_owned(), names: (0..people).map(|number| format!("person{number}")).collect() };
        let agent = agent();
        for name in &load.names {
            let account = json!({
                "email": format!("{name}@example.org"),
                "username": name,
                "displayName": name,
                "password": PASSWORD,
            });
            let (status, answer) = load.post(&agent, "register", &account)?;
            ensure!(status == 201, "{name} is not registered: {status} {answer}");
        }
        let (status, answer) = load.post(&agent, "login", &json!({"username": "person0", "password": "a guess"}))?;
        ensure!(status == 401, "a wrong password is answered {status} {answer}");
        Ok(load)
    }

    /// Everybody logs in without a pause. It is an error if anybody is not given tokens.
    pub(super) fn run(&self, time: Duration) -> Result<LoggedIn> {
        let began = Instant::now();
        let times = thread::scope(|scope| {
            let people: Vec<_> =
                self.names.iter().map(|name| scope.spawn(move || self.log_in_until(name, began + time))).collect();
            let mut times = Vec::new();
            for person in people {
                times.extend(person.join().map_err(|_| anyhow!("a client panicked"))??);
            }
            anyhow::Ok(times)
        })?;
        Ok(LoggedIn { times, within: began.elapsed() })
    }

    fn log_in_until(&self, name: &str, end: Instant) -> Result<Vec<Duration>> {
        let (agent, body) = (agent(), json!({"username": name, "password": PASSWORD}));
        let mut times = Vec::new();
        while Instant::now() < end {
            interrupt::check()?;
            let began = Instant::now();
            let (status, answer) = self.post(&agent, "login", &body)?;
            let has = |field: &str| answer[field].as_str().is_some_and(|token| token.len() > 20);
            ensure!(
                status == 200 && has("accessToken") && has("refreshToken"),
                "{name} is not logged in: {status} {answer}"
            );
            times.push(began.elapsed());
        }
        Ok(times)
    }

    fn post(&self, agent: &Agent, action: &str, body: &Value) -> Result<(u16, Value)> {
        let sent = agent.post(format!("{}/api/v1/auth/{action}", self.url)).send_json(body);
        let mut answer = sent.with_context(|| format!("no answer to {action}"))?;
        Ok((answer.status().as_u16(), answer.body_mut().read_json()?))
    }
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}
