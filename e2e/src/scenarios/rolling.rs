//! Everything that serves requests, replaced while people use it.

mod visitors;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::faults::pods_of;
use super::load::{Crowd, under_load};
use super::people::{Person, two_in_conversation, unique};
use super::recovery::{Talk, catch_up};
use super::scaling::restoring;
use super::socket::Socket;
use super::wait::until;
pub(super) use visitors::visited;

/// Annotation of pods that changes nothing but their template.
const ROLLED: &str = "example.com/rolled";
/// Those that no socket passes through, and then those that one does.
const PARTS: [&str; 7] = ["auth", "media", "notification", "web", "gateway", "chat", "edge"];
const OF_SOCKETS: [&str; 3] = ["gateway", "chat", "edge"];
/// How long a request of the crowd may wait: it is not repeated before.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until the pods of before are gone: those of the edge let files under way, and sockets, go on for a minute.
const GONE_WITHIN: Duration = Duration::from_mins(3);
/// Until sockets that were closed are back.
const BACK_WITHIN: Duration = Duration::from_secs(90);

pub(super) fn every_part_of_one_pod_is_replaced_under_load_and_no_request_fails(stage: &Stage) -> Result<()> {
    replaced_under_load(stage, 1)
}

pub(super) fn every_part_of_several_pods_is_replaced_under_load_and_no_request_fails(stage: &Stage) -> Result<()> {
    replaced_under_load(stage, 2)
}

/// Every part in turn, and then all of them at once.
fn replaced_under_load(stage: &Stage, replicas: u32) -> Result<()> {
    let sized = PARTS.map(|part| (part.to_owned(), json!({ "replicas": replicas })));
    let mut parts = Value::Object(sized.into_iter().collect());
    restoring(stage, || {
        stage.change(&json!({ "spec": parts }))?;
        stage.wait_until_usable()?;
        let mut pair = Pair::connect(stage)?;
        let crowd = Crowd::together().patient(PATIENCE);
        let (((), visits), written) = under_load(stage, &crowd, |load| {
            visited(stage, |visits| {
                for part in PARTS {
                    visits.during(part);
                    parts[part]["podTemplate"] = json!({"annotations": {ROLLED: unique(part)}});
                    replace(stage, &[part], &parts, &mut pair)?;
                    load.wait_for_more(10)?;
                }
                visits.during("all at once");
                for part in PARTS {
                    parts[part]["podTemplate"] = json!({"annotations": {ROLLED: unique("all")}});
                }
                replace(stage, &PARTS, &parts, &mut pair)?;
                load.wait_for_more(10)
            })
        })?;
        written.ensure_none_repeated()?;
        let talked = pair.find_all(stage)?;
        stage.note(format!("{}; {visits}; {talked}", written.note()));
        Ok(())
    })
}

/// Changes parts and waits until their pods are others. The pair talks meanwhile; their sockets stay open, or are back if they pass
/// through what was replaced.
fn replace(stage: &Stage, parts: &[&str], spec: &Value, pair: &mut Pair) -> Result<()> {
    let before = pods(stage, parts)?;
    let connections = pair.connections()?;
    stage.change(&json!({ "spec": spec }))?;
    stage.wait_until_ready()?;
    until(&format!("the pods of {parts:?} are others"), GONE_WITHIN, || {
        pair.say_more()?;
        let left = pods(stage, parts)?.intersection(&before).count();
        ensure!(left == 0, "{left} are still there");
        Ok(())
    })?;
    if parts.iter().any(|part| OF_SOCKETS.contains(part)) {
        until("both sockets are back", BACK_WITHIN, || {
            pair.say_more()?;
            let now = pair.connections()?;
            ensure!(now.iter().zip(connections).all(|(now, before)| *now > before), "connected {now:?} times");
            Ok(())
        })
    } else {
        ensure!(pair.connections()? == connections, "a socket that passes through none of {parts:?} was closed");
        Ok(())
    }
}

/// Identities of the pods of these components.
fn pods(stage: &Stage, parts: &[&str]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for part in parts {
        for pod in pods_of(stage, part)? {
            found.insert(pod["metadata"]["uid"].as_str().context("a pod without an identity")?.to_owned());
        }
    }
    Ok(found)
}

/// Two people with sockets, of whom one talks.
struct Pair {
    listener: Person,
    talk: Talk,
    from: Socket,
    to: Socket,
}

impl Pair {
    fn connect(stage: &Stage) -> Result<Self> {
        let (ada, ben, conversation) = two_in_conversation(stage)?;
        let (from, to) = (Socket::connect(stage, &ada.access_token)?, Socket::connect(stage, &ben.access_token)?);
        Ok(Self { listener: ben, talk: Talk::begin(&conversation), from, to })
    }

    fn say_more(&mut self) -> Result<()> {
        self.talk.say_more(&mut self.from)
    }

    /// How often each has been connected.
    fn connections(&mut self) -> Result<[u64; 2]> {
        Ok([self.from.connections()?, self.to.connections()?])
    }

    /// Everything that was acknowledged is there, in its order, and who listens resumes and has it.
    fn find_all(mut self, stage: &Stage) -> Result<String> {
        let count = self.talk.ensure_stored(&self.listener.history(stage, self.talk.conversation())?)?;
        let seen = catch_up(stage, &self.listener, &mut self.to, self.talk.conversation())?;
        let missed = self.talk.missing_in(&seen);
        ensure!(missed == 0, "who resumed misses {missed} of {count}");
        Ok(format!("by sockets {count}, connected {:?} times", self.connections()?))
    }
}
