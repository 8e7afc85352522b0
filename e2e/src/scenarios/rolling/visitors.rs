//! People who use everything there is without a pause. No request of theirs may fail, and none is made twice.

use std::fmt::{self, Display, Formatter};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::progress::seconds;
use crate::scenarios::Stage;
use crate::scenarios::media::{content, upload};
use crate::scenarios::people::Person;
use crate::scenarios::rest::Rest;

/// How many of each sort: those that keep their connection, and those that make a new one for each request.
const EACH: usize = 2;
/// Between two requests of one. With it, all that one writes stays below the gateway's limits, those of uploads too.
const PAUSE: Duration = Duration::from_millis(120);
const PATIENCE: Duration = Duration::from_mins(1);

/// What became of their requests so far.
#[derive(Default)]
pub(in crate::scenarios) struct Visits {
    diary: Mutex<Diary>,
}

#[derive(Default)]
struct Diary {
    during: String,
    answered: usize,
    slowest: Duration,
    failures: Vec<String>,
}

/// Does `work` while people visit. It is an error if one of their requests failed.
pub(in crate::scenarios) fn visited<T>(stage: &Stage, work: impl FnOnce(&Visits) -> Result<T>) -> Result<(T, Visits)> {
    let visits = Visits::default();
    let visitors =
        (0..2 * EACH).map(|number| Visitor::arrive(stage, number.is_multiple_of(2))).collect::<Result<Vec<_>>>()?;
    let outcome = thread::scope(|scope| {
        // They stop when these are dropped, which they are even if `work` panics.
        let _going_on: Vec<Sender<()>> = visitors
            .into_iter()
            .map(|visitor| {
                let (going_on, told) = channel();
                let visits = &visits;
                scope.spawn(move || visitor.run(visits, &told));
                going_on
            })
            .collect();
        work(&visits)
    });
    let (failed, first) = visits.read(|diary| (diary.failures.len(), diary.failures.first().cloned()));
    match (outcome, first) {
        (Ok(outcome), None) => Ok((outcome, visits)),
        (Ok(_), Some(first)) => bail!("{failed} requests failed ({visits}), the first {first}"),
        (Err(error), None) => Err(error),
        (Err(error), Some(first)) => Err(error.context(format!("{failed} requests failed, the first {first}"))),
    }
}

impl Visits {
    /// What is happening from now on, to be told of with what fails.
    pub(in crate::scenarios) fn during(&self, what: &str) {
        self.read(|diary| what.clone_into(&mut diary.during));
    }

    fn read<T>(&self, look: impl FnOnce(&mut Diary) -> T) -> T {
        look(&mut self.diary.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Display for Visits {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (answered, slowest) = self.read(|diary| (diary.answered, diary.slowest));
        write!(formatter, "{answered} requests answered, the slowest after {}", seconds(slowest))
    }
}

struct Visitor {
    person: Person,
    /// Where there is nobody else.
    conversation: String,
    /// The path of a file.
    file: String,
    url: String,
    authority: String,
    /// One that keeps its connection, or none.
    kept: Option<Rest>,
}

impl Visitor {
    fn arrive(stage: &Stage, keeps: bool) -> Result<Self> {
        let person = Person::register(stage, "visitor")?;
        let conversation = person.open_group(stage, &[])?;
        let file = content(&upload(stage, &person, b"a file")?)?;
        let (url, authority) = (stage.rest.url().to_owned(), stage.authority()?);
        let kept = keeps.then(|| Rest::with_patience(&url, &authority, PATIENCE)).transpose()?;
        Ok(Self { person, conversation, file, url, authority, kept })
    }

    fn run(self, visits: &Visits, told: &Receiver<()>) {
        for number in 0.. {
            let began = Instant::now();
            let outcome = self.visit(number);
            visits.read(|diary| match outcome {
                Ok(()) => {
                    diary.answered += 1;
                    diary.slowest = diary.slowest.max(began.elapsed());
                }
                Err(error) => {
                    let kept = if self.kept.is_some() { "kept" } else { "new" };
                    let during = diary.during.clone();
                    diary.failures.push(format!("by a {kept} connection, during {during}: {error:#}"));
                }
            });
            if told.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    fn visit(&self, number: u32) -> Result<()> {
        match &self.kept {
            Some(rest) => self.ask(rest, number),
            None => self.ask(&Rest::with_patience(&self.url, &self.authority, PATIENCE)?, number),
        }
    }

    /// One of the requests that there are: reads and writes of every service, and a page of the web client.
    fn ask(&self, rest: &Rest, number: u32) -> Result<()> {
        let (person, token) = (&self.person, &self.person.access_token);
        let get = |path: &str| person.get(rest, path).and_then(|answer| answer.expect_status(200));
        match number % 9 {
            0 => get("/"),
            1 => get("/api/v1/users/me"),
            2 => {
                let name = json!({"displayName": format!("visitor {number}")});
                rest.json("PATCH", "/api/v1/users/me", token, &name)?.expect_status(200)
            }
            3 => get("/api/v1/conversations"),
            4 => person.send(rest, &self.conversation, &format!("visit {number}")).map(drop),
            5 => get("/api/v1/notifications"),
            6 => rest.post("/api/v1/notifications/read-all", token, &json!({}))?.expect_status(204),
            7 => get(&self.file),
            _ => upload(rest, person, b"another file").map(drop),
        }
        .with_context(|| format!("request {} of its round", number % 9))
    }
}
