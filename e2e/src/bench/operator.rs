//! What an operator takes: this one, and beside it one in Go for the same kind of work, each alone on the cluster.
//!
//! Documents are real and so is every object that is made of them, on a real API server. Only the controllers of the cluster's own are
//! stopped, so that nothing makes pods of them: two cores could not run ten thousand, and whatever else writes would be measured too.

mod controllers;
mod gauge;
mod peer;
mod subject;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use self::controllers::Stopped;
use self::gauge::{Gauge, Spent};
use self::subject::Subject;
use super::figures::Comparison;
use crate::cluster::Cluster;
use crate::interrupt;
use crate::progress::{Progress, seconds};
use crate::scenarios::api_server::ApiServer;
use crate::scenarios::deletion;
use crate::scenarios::faults::{Away, OPERATOR};
use crate::scenarios::site::Site;
use crate::scenarios::wait::until;

/// The namespace of the platform that is Ready.
const NAMESPACE: &str = "bench";
/// The first step, on the way to as many as are asked for.
const FIRST: u32 = 100;
/// After something was done, until it counts as rest.
const SETTLES: Duration = Duration::from_mins(1);
/// How long nothing happens while requests are counted.
const QUIET: Duration = Duration::from_mins(5);
/// How long it may take until all objects of all documents are made.
const CONVERGES_WITHIN: Duration = Duration::from_mins(45);
/// How often progress is told of.
const TELL_EVERY: Duration = Duration::from_secs(15);

/// Measures all of it, with `platforms` documents at most.
pub(super) fn measure(cluster: &Cluster, platforms: u32, progress: &Progress) -> Result<Comparison> {
    subject::remove_what_an_earlier_run_left(cluster, progress)?;
    peer::prepare(cluster, progress)?;
    let ready = one_that_is_ready(cluster, progress)?;
    let api = ApiServer::of(cluster)?;
    let _nobody_else_writes = Stopped::begin(cluster, progress)?;

    let ours = in_numbers(&Subject { cluster, api: &api, kind: &subject::OURS }, platforms, progress)?;
    subject::end(cluster, &subject::OURS)?;
    peer::start(cluster)?;
    let peers = in_numbers(&Subject { cluster, api: &api, kind: &subject::PEER }, platforms, progress)?;
    Ok(table(&ready, &ours, &peers))
}

/// What is known of an operator at rest.
struct AtRest {
    resident: u64,
    quiet: Spent,
}

/// What is known of an operator that is given many documents.
struct InNumbers {
    idle: u64,
    /// By number of documents, the smaller one first.
    steps: Vec<Step>,
    quiet: Spent,
}

struct Step {
    count: u32,
    took: Duration,
    processor: Duration,
    resident: u64,
    peak: u64,
}

/// A platform that serves, and what it costs the operator while nobody changes anything.
fn one_that_is_ready(cluster: &Cluster, progress: &Progress) -> Result<AtRest> {
    let site = Site::new(cluster.clone(), NAMESPACE)?;
    let cure = "Mend what is said above, then run the command again.";
    progress.step("one platform Ready", cure, |_| {
        site.prepare()?;
        fresh(&site)?;
        site.apply_platform()
    })?;
    let api = ApiServer::of(cluster)?;
    let subject = Subject { cluster, api: &api, kind: &subject::OURS };
    let gauge = Gauge::of(&subject)?;
    rest(SETTLES)?;
    progress.say(format!("    nothing happens for {}", seconds(QUIET)));
    let at_rest = AtRest { quiet: gauge.spent_in(|| rest(QUIET))?, resident: gauge.resident()? };
    site.wait_until_ready()?;
    deletion::remove_with_all_data(&site)?;
    fresh(&site)?;
    Ok(at_rest)
}

/// Starts the operator anew, so that nothing of what it did before is counted.
fn fresh(site: &Site) -> Result<()> {
    Away::begin(site, &OPERATOR)?.end()?;
    until("the operator is back", Duration::from_mins(1), || subject::pod(&site.cluster, &subject::OURS).map(drop))
}

fn in_numbers(subject: &Subject<'_>, most: u32, progress: &Progress) -> Result<InNumbers> {
    let gauge = Gauge::of(subject)?;
    rest(SETTLES)?;
    let idle = gauge.resident()?;
    let mut steps: Vec<Step> = Vec::new();
    for count in [FIRST, most] {
        let there = steps.last().map_or(0, |step| step.count);
        let before = gauge.processor()?;
        let took = give(subject, there, count, progress)?;
        let processor = gauge.processor()?.saturating_sub(before);
        rest(SETTLES)?;
        steps.push(Step { count, took, processor, resident: gauge.resident()?, peak: gauge.peak()? });
    }
    progress.say(format!("    {}: nothing happens for {}", subject.kind.name, seconds(QUIET)));
    let quiet = gauge.spent_in(|| rest(QUIET))?;
    Ok(InNumbers { idle, steps, quiet })
}

/// Applies documents until there are `count`; answers how long it took until all their objects were made.
fn give(subject: &Subject<'_>, there: u32, count: u32, progress: &Progress) -> Result<Duration> {
    for number in there..count {
        subject.make_room_for(number)?;
    }
    progress.say(format!("    {}: from {there} to {count} documents", subject.kind.name));
    let began = Instant::now();
    for number in there..count {
        interrupt::check()?;
        subject.apply(number)?;
    }
    let mut told = Instant::now();
    loop {
        let converged = subject.converged()?;
        let took = began.elapsed();
        if converged >= count {
            progress.say(format!("    {}: all objects of {count} made after {}", subject.kind.name, seconds(took)));
            return Ok(took);
        }
        ensure!(took < CONVERGES_WITHIN, "only {converged} of {count} have all objects after {}", seconds(took));
        if told.elapsed() > TELL_EVERY {
            progress.say(format!("    {}: {converged} of {count}", subject.kind.name));
            told = Instant::now();
        }
        // Looking costs the API server something; a twentieth is as exact as it need be.
        rest((took / 20).clamp(Duration::from_millis(200), Duration::from_secs(5)))?;
    }
}

/// Lets time pass, which is what is measured.
fn rest(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        interrupt::check()?;
        std::thread::sleep(end.saturating_duration_since(Instant::now()).min(Duration::from_secs(1)));
    }
    Ok(())
}

fn table(ready: &AtRest, ours: &InNumbers, peers: &InNumbers) -> Comparison {
    let mut table = Comparison::of([subject::OURS.name, subject::PEER.name]);
    table.memory("memory without any document", [Some(ours.idle), Some(peers.idle)], "12 MB, ratio 5");
    table.memory("memory with one platform that is Ready", [Some(ready.resident), None], "");
    let mut before = [Duration::ZERO; 2];
    let mut processor = [Duration::ZERO; 2];
    for (one, other) in ours.steps.iter().zip(&peers.steps) {
        let count = one.count;
        let goal = if count == 1000 { "40 MB, ratio 5" } else { "ratio 5" };
        before = [before[0] + one.took, before[1] + other.took];
        processor = [processor[0] + one.processor, processor[1] + other.processor];
        table.memory(
            &format!("memory with {count} documents, a minute later"),
            [&one, &other].map(|step| Some(step.resident)),
            goal,
        );
        table.memory("the most memory until then", [&one, &other].map(|step| Some(step.peak)), "");
        table.times(&format!("{count} documents, from applied to all objects made"), before.map(Some), "");
        table.times("processor time for that", processor.map(Some), "");
    }
    let ready = &ready.quiet;
    table.counts("one platform that is Ready, five minutes: reads", [Some(ready.reads), None], "");
    table.counts("writes", [Some(ready.writes), None], "0");
    table.counts("renewals of the lease", [Some(ready.renewals), None], "");
    table.times("processor time", [Some(ready.processor), None], "");
    let most = ours.steps.last().map_or(0, |step| step.count);
    let quiet = [&ours.quiet, &peers.quiet];
    table.counts(
        &format!("{most} documents that wait for their pods, five minutes: reads"),
        quiet.map(|spent| Some(spent.reads)),
        "",
    );
    table.counts("writes", quiet.map(|spent| Some(spent.writes)), "0");
    table.counts("renewals of the lease", quiet.map(|spent| Some(spent.renewals)), "");
    table.times("processor time", quiet.map(|spent| Some(spent.processor)), "");
    table
}
