//! What the death of the primary costs.

use std::time::Duration;

use anyhow::Result;

use super::majority::MajorityWriter;
use crate::progress::{Progress, seconds};
use crate::scenarios::Stage;
use crate::scenarios::faults;
use crate::scenarios::load::{Crowd, under_load};
use crate::scenarios::replica_set::{self, CONTAINER};

/// How often the primary is killed.
const ROUNDS: usize = 7;

/// Times from SIGKILL of the primary's process to the next acknowledged write.
#[derive(Default)]
pub(super) struct FailOver {
    /// Of a client of the database.
    pub(super) direct: Vec<Duration>,
    /// Of people who write through the edge.
    pub(super) by_the_edge: Vec<Duration>,
}

/// Kills the primary again and again while people write; it is an error if anything acknowledged is lost.
pub(super) fn measure(stage: &Stage, progress: &Progress) -> Result<FailOver> {
    let (found, written) = under_load(stage, &Crowd::together(), |load| {
        let mut found = FailOver::default();
        for round in 1..=ROUNDS {
            stage.wait_until_ready()?;
            let primary = replica_set::primary(stage)?;
            let writer = MajorityWriter::start(stage)?;
            load.wait_for_more(10)?;
            let killed = faults::kill(stage, &primary, CONTAINER)?;
            writer.wait_for_more(20)?;
            load.wait_for_more(20)?;
            let (direct, by_the_edge) = (writer.outage_since(killed)?, load.outage_since(killed)?);
            progress.say(format!(
                "    {round} of {ROUNDS}: {primary} killed, next write after {}, by the edge after {}",
                seconds(direct),
                seconds(by_the_edge)
            ));
            found.direct.push(direct);
            found.by_the_edge.push(by_the_edge);
        }
        stage.wait_until_ready()?;
        Ok(found)
    })?;
    progress.say(format!("    nothing is lost: {}", written.note()));
    Ok(found)
}
