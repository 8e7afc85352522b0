//! The servers that hold the platform's data: how soon they are ready, what they take, and what the death of a primary costs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::failover;
use super::figures::Table;
use crate::cluster::Cluster;
use crate::progress::{Progress, seconds};
use crate::scenarios::faults::pods_of;
use crate::scenarios::process::Process;
use crate::scenarios::{Stage, production};

/// How often a platform is made.
const ROUNDS: usize = 3;
/// Servers whose memory is looked at: what they are called, their component and their container. Not `RabbitMQ`, which is a child of the
/// script that its container begins with.
const SERVERS: [(&str, &str, &str); 2] =
    [("a MongoDB member", "mongodb", "mongod"), ("a Redis server", "redis", "redis")];

/// Measures all of it.
pub(super) fn measure(cluster: Cluster, progress: &Progress) -> Result<Table> {
    let mut table = Table::default();
    let stage = Stage::set_up(cluster, progress)?;
    small(&stage, progress, &mut table)?;
    large(&stage, progress, &mut table)?;
    Ok(table)
}

/// One of each, and how it grows.
fn small(stage: &Stage, progress: &Progress, table: &mut Table) -> Result<()> {
    let document = stage.document();
    let (mut ready, mut three, mut five) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        // Anew in the first round as well: on a cluster that was kept, one may have been there.
        stage.replace_platform(document.clone())?;
        ready.push(stage.next_ready_after.get().context("it was not timed")?);
        if round == 1 {
            memory(stage, "one of each, just ready", table)?;
        }
        three.push(grow(stage, 3)?);
        five.push(grow(stage, 5)?);
        let last = |times: &[Duration]| times.last().copied().map(seconds).unwrap_or_default();
        progress.say(format!(
            "    {round} of {ROUNDS}: one of each ready after {}, three members after {}, five after {}",
            last(&ready),
            last(&three),
            last(&five)
        ));
    }
    table.times("one of each, from applied to Ready, images present", &ready, "45 s");
    table.times("MongoDB grows from 1 to 3 members, nobody writing", &three, "");
    table.times("MongoDB grows from 3 to 5 members, nobody writing", &five, "");
    Ok(())
}

fn grow(stage: &Stage, members: u8) -> Result<Duration> {
    let began = Instant::now();
    stage.change_for_good(&json!({"spec": {"mongodb": {"members": members}}}))?;
    stage.wait_until_ready()?;
    Ok(began.elapsed())
}

/// Three of each, and what they bear.
fn large(stage: &Stage, progress: &Progress, table: &mut Table) -> Result<()> {
    production::prepare(stage)?;
    let mut ready = Vec::new();
    for round in 1..=ROUNDS {
        stage.replace_platform(production::document(stage)?)?;
        let took = stage.next_ready_after.get().context("it was not timed")?;
        progress.say(format!("    {round} of {ROUNDS}: three of each ready after {}", seconds(took)));
        ready.push(took);
    }
    table.times("three of each, from applied to Ready, images present", &ready, "60 s");
    memory(stage, "three of each, just ready", table)?;
    let found = failover::measure(stage, progress)?;
    table.times(
        "SIGKILL of the primary's process to the next majority write of a client of MongoDB",
        &found.direct,
        "median 3.5 s",
    );
    table.times("the same to the next message that was acknowledged through the edge", &found.by_the_edge, "");
    memory(stage, "three of each, after that", table)
}

fn memory(stage: &Stage, when: &str, table: &mut Table) -> Result<()> {
    for (what, component, container) in SERVERS {
        let of = |pod| Process::of(&stage.cluster, pod, container)?.resident_kibibytes();
        let found = pods_of(stage, component)?.iter().map(of).collect::<Result<Vec<_>>>()?;
        table.memory(&format!("memory of {what}, {when}"), &found);
    }
    Ok(())
}
