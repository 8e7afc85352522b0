//! What sockets and deliveries cost the chat service, beside Socket.IO's own server for Node with the same people and messages.

pub(super) mod connection;
pub(super) mod crowd;
mod seen;
pub(super) mod server;
mod wire;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Runtime;

use self::crowd::{Crowd, Delivered};
use self::server::{GROUP, Kind, Server};
use super::figures::Rows;
use super::loopback::Loopback;
use super::open_files;
use super::process_group::ProcessGroup;
use super::statistics::{Times, each_second, median, micros_each, milliseconds};
use crate::interrupt;
use crate::progress::seconds;

/// Sockets, and how often both servers are measured with so many.
const SCALES: [(usize, usize); 2] = [(1_000, 3), (10_000, 2)];
const QUICK: [(usize, usize); 1] = [(1_000, 1)];
/// Beside sockets.
const OTHER_FILES: u64 = 500;
/// As fast as it goes: in all groups together.
const MESSAGES: usize = 2_000;
/// When it is calm, and when connections are cut.
const CALM_PER_SECOND: u32 = 20;
const CALM: Duration = Duration::from_secs(5);
const CUTS: Duration = Duration::from_secs(8);
/// One of so many connections is cut.
const CUT_PART: usize = 5;
/// A server is at rest that takes less than this part of a second in one.
const REST_PERCENT: u32 = 5;
const RESTS_WITHIN: Duration = Duration::from_mins(1);

/// One server, measured once.
struct Found {
    kind: Kind,
    sockets: usize,
    connected_after: Duration,
    /// KiB of each connection.
    memory: f64,
    calm: Delivered,
    times: Times,
    fast: Phase,
    cuts: Phase,
}

/// Deliveries, and the processor time of the server from the first until it was at rest again.
struct Phase {
    delivered: Delivered,
    processor: Duration,
}

/// Measures all of it.
pub(super) fn measure(loopback: &Loopback<'_>) -> Result<String> {
    let scales = loopback.usually(&SCALES[..], &QUICK[..]);
    let most = scales.iter().map(|(sockets, _)| *sockets).max().unwrap_or_default();
    open_files::allow(most as u64 + OTHER_FILES)?;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let mut found: Vec<Found> = Vec::new();
    for (sockets, rounds) in scales {
        for round in 1..=*rounds {
            for kind in Kind::BOTH {
                let name = format!("bench-{sockets}-{round}");
                let measured = one(loopback, &threads, kind, &name, *sockets)?;
                loopback.progress.say(format!("    {round} of {rounds}: {}", measured.told()));
                found.push(measured);
            }
        }
    }
    table(&found)
}

/// A server that is started for it and ended after it.
fn one(loopback: &Loopback<'_>, threads: &Runtime, kind: Kind, name: &str, sockets: usize) -> Result<Found> {
    let server = kind.start(loopback, name, sockets, false)?;
    let group = ProcessGroup(server.program.id());
    until_at_rest(group)?;
    let before = group.resident_kibibytes()?;
    let (mut crowd, connected_after) = connect(threads, server)?;
    until_at_rest(crowd.group)?;
    let memory = ratio(group.resident_kibibytes()?.saturating_sub(before), sockets);

    let (calm, times) = threads.block_on(crowd.people.calmly(CALM_PER_SECOND, CALM))?;
    let each = MESSAGES * GROUP / sockets;
    let fast = crowd.phase(|people| threads.block_on(people.as_fast_as_it_goes(each as u64)))?;
    crowd.people.nobody_misses_anything()?;
    if kind == Kind::Node {
        // Without it nothing that was missed would come, with it each delivery costs more.
        drop(crowd);
        crowd = connect(threads, kind.start(loopback, name, sockets, true)?)?.0;
        until_at_rest(crowd.group)?;
    }
    let cuts = crowd.phase(|people| threads.block_on(people.with_cuts(CALM_PER_SECOND, CUTS, CUT_PART)))?;
    if kind == Kind::Chat {
        crowd.people.nobody_misses_anything()?;
    }
    Ok(Found { kind, sockets, connected_after, memory, calm, times, fast, cuts })
}

/// People who are connected to a server.
struct Connected {
    people: Crowd,
    group: ProcessGroup,
    _program: servers::Program,
}

fn connect(threads: &Runtime, server: Server) -> Result<(Connected, Duration)> {
    let address = server::address(&server.program)?;
    let Server { program, recovery, people } = server;
    let began = Instant::now();
    let people = threads.block_on(Crowd::connect(address, recovery, people))?;
    Ok((Connected { people, group: ProcessGroup(program.id()), _program: program }, began.elapsed()))
}

impl Connected {
    fn phase(&mut self, work: impl FnOnce(&mut Crowd) -> Result<Delivered>) -> Result<Phase> {
        let before = self.group.processor_time()?;
        let delivered = work(&mut self.people)?;
        until_at_rest(self.group)?;
        Ok(Phase { delivered, processor: self.group.processor_time()?.saturating_sub(before) })
    }
}

/// Waits until a server has done what it does after connections and messages: presence, events.
fn until_at_rest(group: ProcessGroup) -> Result<()> {
    let (window, deadline) = (Duration::from_secs(1), Instant::now() + RESTS_WITHIN);
    loop {
        interrupt::check()?;
        let before = group.processor_time()?;
        sleep(window);
        let taken = group.processor_time()?.saturating_sub(before);
        if taken * 100 < window * REST_PERCENT {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the server is not at rest: it takes {taken:?} in {window:?}");
    }
}

impl Phase {
    /// Microseconds of processor time.
    fn each(&self) -> f64 {
        micros_each(self.processor, self.delivered.came)
    }
}

impl Found {
    fn told(&self) -> String {
        format!(
            "{} with {} sockets, connected after {}: {:.1} KiB a connection, {:.2} µs a delivery, {:.3} % delivered with {} cuts, {} twice",
            self.kind.name(),
            self.sockets,
            seconds(self.connected_after),
            self.memory,
            self.fast.each(),
            percent(&self.cuts.delivered),
            self.cuts.delivered.returned,
            self.cuts.delivered.repeated,
        )
    }
}

fn percent(delivered: &Delivered) -> f64 {
    ratio(delivered.came * 100, usize::try_from(delivered.expected).unwrap_or(usize::MAX))
}

/// One number beside another.
#[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
fn ratio(one: u64, other: usize) -> f64 {
    one as f64 / other as f64
}

fn table(found: &[Found]) -> Result<String> {
    let mut rows = Rows::of([
        "sockets",
        "server",
        "processor time a delivery",
        "goal",
        "deliveries a second",
        "memory a connection",
        "goal",
        "sent to received, median",
        "99 of 100 within",
        "delivered",
        "connections cut",
        "delivered then",
        "processor time a delivery then",
    ]);
    let mut scales: Vec<usize> = found.iter().map(|one| one.sockets).collect();
    scales.dedup();
    for sockets in scales {
        for kind in Kind::BOTH {
            let these: Vec<&Found> = found.iter().filter(|one| one.sockets == sockets && one.kind == kind).collect();
            let over_rounds =
                |of: fn(&Found) -> f64| median(these.iter().map(|one| of(one))).context("no round was measured");
            let least = |of: fn(&Found) -> f64| these.iter().map(|one| of(one)).fold(f64::INFINITY, f64::min);
            let times = |percent| {
                let mut times: Vec<Duration> = these.iter().filter_map(|one| one.times.percentile(percent)).collect();
                times.sort_unstable();
                times.get(times.len() / 2).copied()
            };
            let goal = |text: &str| if kind == Kind::Chat { text.to_owned() } else { String::new() };
            let cut: usize = these.iter().map(|one| one.cuts.delivered.returned).sum();
            rows.add([
                sockets.to_string(),
                kind.name().to_owned(),
                format!("{:.2} µs", over_rounds(|one| one.fast.each())?),
                goal("2 µs"),
                format!("{:.0}", over_rounds(|one| each_second(one.fast.delivered.came, one.fast.delivered.within))?),
                format!("{:.1} KiB", over_rounds(|one| one.memory)?),
                goal("20 KiB"),
                milliseconds(times(50)),
                milliseconds(times(99)),
                format!("{} %", least(|one| percent(&one.fast.delivered).min(percent(&one.calm)))),
                cut.to_string(),
                format!("{:.3} %", least(|one| percent(&one.cuts.delivered))),
                format!("{:.2} µs", over_rounds(|one| one.cuts.each())?),
            ]);
        }
    }
    Ok(rows.to_string())
}
