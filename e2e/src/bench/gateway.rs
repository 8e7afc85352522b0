//! What a request costs that passes through the gateway, beside nginx and Express that do nothing but pass it on.

mod load;

use std::time::Duration;

use anyhow::{Context as _, Result};
use servers::{Program, Redis};

use self::load::{Answered, Load};
use super::figures::Rows;
use super::loopback::Loopback;
use super::process_group::ProcessGroup;
use super::statistics::{each_second, median, micros_each, milliseconds};
use crate::interrupt;
use crate::progress::Progress;

/// What the service behind answers, in about the size of a page of a list.
const BODY: &str = include_str!("gateway/body.json");

/// All services that the gateway leads to are the same one here.
const UPSTREAMS: [&str; 4] = [
    "CHATPLATFORM_UPSTREAMS__AUTH",
    "CHATPLATFORM_UPSTREAMS__CHAT",
    "CHATPLATFORM_UPSTREAMS__MEDIA",
    "CHATPLATFORM_UPSTREAMS__NOTIFICATION",
];

/// A way to the service behind.
struct Way {
    name: &'static str,
    program: Program,
    path: &'static str,
    /// What it is to take at most, or what the gateway is to take at most of it.
    goal: &'static str,
    rounds: Vec<Round>,
}

struct Round {
    answered: Answered,
    processor: Duration,
}

/// Measures all of it.
pub(super) fn measure(loopback: &Loopback<'_>) -> Result<String> {
    let load = Load::prepare(loopback)?;
    let behind = loopback.start_nginx("service", &service_behind())?;
    let mut ways = ways(loopback, &behind)?;
    let time = Duration::from_secs(loopback.usually(5, 2));
    let rounds = loopback.usually(7, 2);
    for round in 0..=rounds {
        for way in &mut ways {
            interrupt::check()?;
            let measured = way.measure(&load, time)?;
            // The first warms caches, pools and compilers up.
            if round > 0 {
                way.rounds.push(measured);
            }
        }
        tell(loopback.progress, &ways, round, rounds);
    }
    table(&ways)
}

fn ways(loopback: &Loopback<'_>, behind: &Program) -> Result<Vec<Way>> {
    let way = |name, program, path, goal| Way { name, program, path, goal, rounds: Vec::new() };
    let gateway = || gateway(loopback, behind);
    let express = vec![("TARGET", behind.url())];
    Ok(vec![
        way("nginx", loopback.start_nginx("nginx", &passing_on(behind))?, "/api/v1/conversations", ""),
        way("Express with http-proxy-middleware", loopback.start_peer("proxy", express)?, "/api/v1/conversations", ""),
        way("the gateway, somebody logged in", gateway()?, "/api/v1/conversations", "1.5 of nginx, an 8th of Express"),
        way("the gateway, a route for everybody", gateway()?, "/.well-known/jwks.json", ""),
    ])
}

impl Way {
    fn measure(&self, load: &Load, time: Duration) -> Result<Round> {
        let group = ProcessGroup(self.program.id());
        let before = group.processor_time()?;
        let answered = load.on(&format!("{}{}", self.program.url(), self.path), time)?;
        Ok(Round { answered, processor: group.processor_time()?.saturating_sub(before) })
    }
}

impl Round {
    /// Microseconds of processor time.
    fn each(&self) -> f64 {
        micros_each(self.processor, self.answered.requests)
    }
}

/// The gateway as it is shipped, with a real Redis, and limits that nobody reaches.
fn gateway(loopback: &Loopback<'_>, behind: &Program) -> Result<Program> {
    let mut variables = loopback.token_variables();
    variables.push(("CHATPLATFORM_REDIS__URL_FILE", loopback.file("redis-url", &Redis::shared().url())?));
    variables.extend(UPSTREAMS.map(|name| (name, behind.url())));
    // One grows back in a microsecond; they are counted as always.
    variables.push(("CHATPLATFORM_RATE_LIMITS__READ__PER_MINUTE", "60000000".to_owned()));
    variables.push(("CHATPLATFORM_RATE_LIMITS__READ__BURST", "1000000".to_owned()));
    loopback.start(variables)
}

/// A configuration of nginx. It never closes a connection that is in use.
fn nginx(server: &str) -> String {
    format!(
        "pid /tmp/nginx.pid;\nerror_log /dev/stderr warn;\nworker_processes auto;\nevents {{ worker_connections 4096; }}\nhttp {{\n\
         client_body_temp_path /tmp/client_body;\nproxy_temp_path /tmp/proxy;\nfastcgi_temp_path /tmp/fastcgi;\n\
         uwsgi_temp_path /tmp/uwsgi;\nscgi_temp_path /tmp/scgi;\ntcp_nodelay on;\n\
         keepalive_requests 1000000000;\nkeepalive_timeout 1h;\n{server}\n}}\n"
    )
}

fn service_behind() -> String {
    nginx(&format!(
        "access_log off;\nserver {{ listen 8080; location / {{ default_type application/json; return 200 '{BODY}'; }} }}"
    ))
}

/// A line of JSON a request, as the gateway writes one.
const LOG: &str = r#"log_format json escape=json '{"time":"$time_iso8601","method":"$request_method","path":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"client":"$remote_addr"}';
access_log /dev/stdout json;"#;

fn passing_on(behind: &Program) -> String {
    let address = behind.url().replace("http://", "");
    nginx(&format!(
        "{LOG}\nupstream service {{ server {address}; keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{ listen 8080; location / {{ proxy_pass http://service; proxy_http_version 1.1;\n\
         proxy_set_header Connection ''; proxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; }} }}"
    ))
}

fn tell(progress: &Progress, ways: &[Way], round: usize, rounds: usize) {
    let last = |way: &Way| Some(format!("{} {:.1} µs", way.name, way.rounds.last()?.each()));
    let said: Vec<String> = ways.iter().filter_map(last).collect();
    let said = if said.is_empty() { "warmed up".to_owned() } else { said.join(", ") };
    progress.say(format!("    {round} of {rounds}: {said}"));
}

fn table(ways: &[Way]) -> Result<String> {
    let [nginx, express, ..] = ways else { anyhow::bail!("nothing was measured") };
    let mut rows = Rows::of([
        "way",
        "processor time a request",
        "of nginx",
        "of Express",
        "goal",
        "requests a second",
        "median",
        "99 of 100 within",
        "memory",
    ]);
    for way in ways {
        let over_rounds = |of: fn(&Round) -> f64| median(way.rounds.iter().map(of)).context("no round was measured");
        // Each round of one beside the same round of the other: what else happened on the machine happened to both.
        let beside = |other: &Way| {
            median(way.rounds.iter().zip(&other.rounds).map(|(one, other)| one.each() / other.each()))
                .context("no round was measured")
        };
        let times = |of: fn(&Round) -> Duration| {
            let mut times: Vec<Duration> = way.rounds.iter().map(of).collect();
            times.sort_unstable();
            times.get(times.len() / 2).copied()
        };
        let memory = ProcessGroup(way.program.id()).resident_kibibytes()?.div_ceil(1024);
        rows.add([
            way.name.to_owned(),
            format!("{:.1} µs", over_rounds(Round::each)?),
            format!("{:.2}", beside(nginx)?),
            format!("{:.3}", beside(express)?),
            way.goal.to_owned(),
            format!("{:.0}", over_rounds(|round| each_second(round.answered.requests, round.answered.within))?),
            milliseconds(times(|round| round.answered.median)),
            milliseconds(times(|round| round.answered.slowest_percent)),
            format!("{memory} MiB"),
        ]);
    }
    Ok(rows.to_string())
}
