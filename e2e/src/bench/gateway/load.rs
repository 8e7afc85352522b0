//! The load that every proxy gets: wrk, which keeps its connections, with a look at each answer.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::BODY;
use crate::bench::loopback::Loopback;
use crate::bench::people;
use crate::command::Run;

const SCRIPT: &str = include_str!("load.lua");
/// Kept open, each with one request at a time.
const CONNECTIONS: usize = 32;
/// Each has a session, and an allowance of requests of their own.
const PEOPLE: usize = 64;

/// The files that wrk reads.
pub(super) struct Load {
    script: String,
    tokens: String,
}

/// What was answered within some time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) requests: u64,
    pub(super) within: Duration,
    pub(super) median: Duration,
    pub(super) slowest_percent: Duration,
}

impl Load {
    /// Tokens that the auth service would have issued.
    pub(super) fn prepare(loopback: &Loopback<'_>) -> Result<Self> {
        let tokens: Vec<String> = (0..PEOPLE).map(people::token).collect();
        Ok(Self { script: loopback.file("load.lua", SCRIPT)?, tokens: loopback.file("tokens", &tokens.join("\n"))? })
    }

    /// Asks a URL again and again. It is an error if any answer is not 200 with the body of the service behind.
    pub(super) fn on(&self, url: &str, time: Duration) -> Result<Answered> {
        let run = Run::from(servers::wrk()?)
            .args(["--threads", "1", "--connections", &CONNECTIONS.to_string()])
            .args(["--duration", &format!("{}s", time.as_secs()), "--timeout", "10s", "--script", &self.script])
            .args([url, "--", &self.tokens, BODY]);
        read(&run.output()?).with_context(|| format!("wrong answers at {url}"))
    }
}

fn read(said: &str) -> Result<Answered> {
    let line = said.lines().find_map(|line| line.strip_prefix("found: "));
    let line = line.with_context(|| format!("wrk says nothing of what it found:\n{said}"))?;
    let numbers: Vec<u64> = line.split(' ').take(6).filter_map(|word| word.parse().ok()).collect();
    let [requests, within, median, slowest_percent, broken, wrong] = numbers[..] else {
        bail!("wrk says {line:?}");
    };
    let first = line.splitn(7, ' ').nth(6).unwrap_or_default();
    ensure!(wrong == 0, "{wrong} of {requests}, the first: {first}");
    ensure!(broken == 0, "{broken} connections broke or were not answered in time");
    ensure!(requests > 0, "nothing was answered");
    let micros = Duration::from_micros;
    Ok(Answered { requests, within: micros(within), median: micros(median), slowest_percent: micros(slowest_percent) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_answered_is_read_from_between_the_words_of_wrk() {
        let said = "Running 4s test @ http://127.0.0.1:1/\n\nfound: 40000 4001000 800 2100 0 0 \nRequests/sec: 10000";
        let micros = Duration::from_micros;
        let expected = Answered {
            requests: 40_000,
            within: micros(4_001_000),
            median: micros(800),
            slowest_percent: micros(2_100),
        };
        assert_eq!(read(said).unwrap(), expected);
    }

    #[test]
    fn a_wrong_answer_a_broken_connection_and_silence_are_errors() {
        let error = |line: &str| read(&format!("found: {line}")).unwrap_err().to_string();
        assert_eq!(error("10 4 1 1 0 2 429 {\"code\": 1}"), "2 of 10, the first: 429 {\"code\": 1}");
        assert_eq!(error("10 4 1 1 3 0 "), "3 connections broke or were not answered in time");
        assert_eq!(error("0 4 1 1 0 0 "), "nothing was answered");
        assert_eq!(error("10 4"), "wrk says \"10 4\"");
    }
}
