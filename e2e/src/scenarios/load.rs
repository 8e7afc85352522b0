//! People who write without a pause while something happens, and a look at everything afterwards: what was acknowledged must be
//! there, once, in its place.

pub(crate) mod gaps;
mod ledger;
mod writer;

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::Stage;
use super::people::Person;
use super::wait::until;
use crate::progress::seconds;
use ledger::Ledger;
pub(crate) use ledger::Message;
use writer::Writer;

/// Between two messages of one writer.
const PACE: Duration = Duration::from_millis(200);
/// How long an attempt may take, unless the crowd is more patient: a person who sees no tick for so long tries again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the history may be unreadable after a fault.
const READABLE_WITHIN: Duration = Duration::from_mins(1);
/// How long writes may stand still before they count as stopped.
const MORE_WITHIN: Duration = Duration::from_mins(1);

/// Who writes, how fast, and who else is to hear of it.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    conversations: usize,
    writers: usize,
    pace: Duration,
    patience: Duration,
    audience: Vec<String>,
}

impl Crowd {
    /// Two conversations with two writers each, who get in each other's way.
    pub(crate) fn together() -> Self {
        Self { conversations: 2, writers: 2, pace: PACE, patience: PATIENCE, audience: Vec::new() }
    }

    /// Three conversations with a writer each, so that nobody is notified of anything.
    pub(crate) fn apart() -> Self {
        Self { conversations: 3, writers: 1, pace: PACE, patience: PATIENCE, audience: Vec::new() }
    }

    /// Who tries again only after so long.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Somebody else in every conversation, who never looks.
    pub(crate) fn heard_by(mut self, person: &Person) -> Self {
        self.audience.push(person.id.clone());
        self
    }
}

/// What is being written.
pub(crate) struct Load {
    ledger: Arc<Mutex<Ledger>>,
}

/// What was written, all of which has been found.
#[derive(Debug)]
pub(crate) struct Written {
    /// Every message of every conversation, in its order.
    pub(crate) history: Vec<Message>,
    acknowledged: usize,
    repeated: usize,
    last_failure: String,
    longest_gap: Duration,
}

impl Written {
    /// Insists that every attempt was acknowledged at once.
    pub(crate) fn ensure_none_repeated(&self) -> Result<()> {
        let Self { repeated, last_failure, .. } = self;
        ensure!(*repeated == 0, "{repeated} attempts failed and were repeated, the last: {last_failure}");
        Ok(())
    }

    /// In short, to be printed beside a scenario's result.
    pub(crate) fn note(&self) -> String {
        let Self { acknowledged, repeated, longest_gap, .. } = self;
        format!("{acknowledged} acknowledged, {repeated} attempts repeated, longest gap {}", seconds(*longest_gap))
    }
}

/// Does `work` while the crowd writes. However it ends, the writers are stopped then, and everything they wrote is looked for:
/// it is an error if anything that was acknowledged is missing, is there twice, reads differently or stands in another place.
pub(crate) fn under_load<T>(
    stage: &Stage,
    crowd: &Crowd,
    work: impl FnOnce(&Load) -> Result<T>,
) -> Result<(T, Written)> {
    let mut rooms = Vec::new();
    let mut writers = Vec::new();
    let load = Load { ledger: Arc::default() };
    for room in 0..crowd.conversations {
        let people = (0..crowd.writers).map(|_| Person::register(stage, "writer")).collect::<Result<Vec<_>>>()?;
        let host = people.first().context("a conversation without writers")?;
        let others: Vec<&str> =
            people[1..].iter().map(|person| &person.id).chain(&crowd.audience).map(String::as_str).collect();
        let conversation = host.open_group(stage, &others)?;
        for (seat, person) in people.iter().enumerate() {
            let name = format!("writer {seat} of {room}");
            writers.push(Writer::new(
                stage,
                person,
                room,
                &conversation,
                name,
                (crowd.pace, crowd.patience),
                &load.ledger,
            )?);
        }
        rooms.push((conversation, people));
    }

    let began = Instant::now();
    let outcome = thread::scope(|scope| {
        // Writers stop when these are dropped, which they are even if `work` panics.
        let _going_on: Vec<Sender<()>> = writers
            .into_iter()
            .map(|writer| {
                let (going_on, told) = channel();
                scope.spawn(move || writer.run(&told));
                going_on
            })
            .collect();
        work(&load)
    });
    let written = load.look_for_all(stage, &rooms, began);
    match (outcome, written) {
        (Ok(outcome), Ok(written)) => Ok((outcome, written)),
        (Ok(_), Err(lost)) => Err(lost),
        (Err(error), Ok(written)) => Err(anyhow!("{error:#}\nnothing is lost, though: {}", written.note())),
        (Err(error), Err(lost)) => Err(anyhow!("{error:#}\nand {lost:#}")),
    }
}

impl Load {
    /// How many messages have been acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.read(|ledger| ledger.acknowledged().len())
    }

    /// Waits until so many more have been acknowledged.
    pub(crate) fn wait_for_more(&self, count: usize) -> Result<()> {
        let before = self.acknowledged();
        until(&format!("{count} more acknowledged messages"), MORE_WITHIN, || {
            let more = self.acknowledged() - before;
            let last = self.read(|ledger| ledger.last_failure().to_owned());
            ensure!(more >= count, "there are {more}; the last attempt that failed: {last}");
            Ok(())
        })
    }

    /// From a fault to the first message that was acknowledged after the longest gap since then.
    pub(crate) fn outage_since(&self, fault: Instant) -> Result<Duration> {
        gaps::outage_since(&self.read(Ledger::times), fault).context("nothing was acknowledged since")
    }

    fn look_for_all(&self, stage: &Stage, rooms: &[(String, Vec<Person>)], began: Instant) -> Result<Written> {
        let ended = Instant::now();
        let mut history = Vec::new();
        for (room, (conversation, people)) in rooms.iter().enumerate() {
            let reader = people.last().context("a conversation without writers")?;
            let found = until("reading what was written", READABLE_WITHIN, || reader.history(stage, conversation))?;
            let found: Vec<Message> = found.iter().map(Message::read).collect::<Result<_>>()?;
            let faults = self.read(|ledger| ledger.faults(room, &found));
            if let Some(first) = faults.first() {
                bail!("{} faults in what was acknowledged, the first: {first}", faults.len());
            }
            history.extend(found);
        }
        self.read(|ledger| {
            if let Some(refusal) = ledger.refusal() {
                bail!("a message was refused for good: {refusal}");
            }
            ensure!(!ledger.acknowledged().is_empty(), "nothing was acknowledged at all: {}", ledger.last_failure());
            Ok(Written {
                history,
                acknowledged: ledger.acknowledged().len(),
                repeated: ledger.repeated(),
                last_failure: ledger.last_failure().to_owned(),
                longest_gap: gaps::longest(&ledger.times(), began, ended),
            })
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
