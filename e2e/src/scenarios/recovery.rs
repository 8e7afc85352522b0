//! Parts that die while people talk.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::people::{Person, text, two_in_conversation, unique};
use super::socket::Socket;
use super::wait::until;

/// Until both connections have been lost and are back: the pod's preStop hook and the drain of its sockets are within it.
const LIMIT: Duration = Duration::from_secs(90);
/// How many messages are sent before the pod is deleted, and how many again after the connections are back.
const SEVERAL: usize = 50;

pub(super) fn nothing_acknowledged_is_missing_after_the_chat_pod_is_deleted(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let mut from = Socket::connect(stage, &ada.access_token)?;
    let mut to = Socket::connect(stage, &ben.access_token)?;
    let mut talk = Talk::begin(&conversation);
    for _ in 0..SEVERAL {
        talk.say_more(&mut from)?;
    }

    let label = format!("app.kubernetes.io/name=chat,app.kubernetes.io/instance={}", stage.platform);
    stage.kubectl(["delete", "pod", "--selector", &label, "--wait=false"])?;
    let deadline = Instant::now() + LIMIT;
    while from.connections()? < 2 || to.connections()? < 2 {
        ensure!(Instant::now() < deadline, "the connections were not lost and made anew within {LIMIT:?}");
        talk.say_more(&mut from)?;
    }
    for _ in 0..SEVERAL {
        talk.say_more(&mut from)?;
    }

    let count = talk.ensure_stored(&ben.history(stage, &conversation)?)?;
    let seen = catch_up(stage, &ben, &mut to, &conversation)?;
    let missed = talk.missing_in(&seen);
    ensure!(missed == 0, "who resumed misses {missed} of {count}");
    stage.note(format!("{count} messages, {} emits repeated", talk.repeated));
    stage.wait_until_usable().map(drop)
}

/// One who talks without a pause.
pub(super) struct Talk {
    conversation: String,
    /// Ids of the messages, in the order in which they were acknowledged.
    acknowledged: Vec<String>,
    repeated: usize,
}

impl Talk {
    pub(super) fn begin(conversation: &str) -> Self {
        Self { conversation: conversation.to_owned(), acknowledged: Vec::new(), repeated: 0 }
    }

    pub(super) fn conversation(&self) -> &str {
        &self.conversation
    }

    /// Insists that a history is what was acknowledged, in its order; answers how much that is.
    pub(super) fn ensure_stored(&self, history: &[Value]) -> Result<usize> {
        let stored: Vec<String> = history.iter().map(|message| text(message, "id")).collect::<Result<_>>()?;
        let (told, count) = (self.acknowledged.len(), stored.len());
        ensure!(stored == self.acknowledged, "{told} acknowledged, {count} stored, or in another order");
        Ok(count)
    }

    /// How much of what was acknowledged somebody has not seen.
    pub(super) fn missing_in(&self, seen: &BTreeSet<String>) -> usize {
        self.acknowledged.iter().filter(|id| !seen.contains(*id)).count()
    }

    /// Sends the next message as a client does: with the same nonce again until it is acknowledged.
    pub(super) fn say_more(&mut self, socket: &mut Socket) -> Result<()> {
        let words = format!("message {}", self.acknowledged.len());
        let message = json!({"conversationId": self.conversation, "text": words, "nonce": unique("n")});
        let answer = until("an acknowledgement", LIMIT, || {
            let answer = socket.emit("message:send", &message).inspect_err(|_| self.repeated += 1)?;
            ensure!(answer["ok"] == true, "{answer}");
            Ok(answer)
        })?;
        self.acknowledged.push(text(&answer["message"], "id")?);
        Ok(())
    }
}

/// Ids of every message of a conversation, by `resume` and then by following the changes, as a client does that was away.
pub(super) fn catch_up(
    stage: &Stage,
    person: &Person,
    socket: &mut Socket,
    conversation: &str,
) -> Result<BTreeSet<String>> {
    let answer = socket.emit("resume", &json!({"cursors": {conversation: 0}}))?;
    ensure!(answer["ok"] == true, "{answer}");
    let mut page = answer["changes"][conversation].clone();
    let mut seen = BTreeSet::new();
    let mut last: Option<Value> = None;
    loop {
        let items = page.as_array().context("the changes are no list")?;
        seen.extend(items.iter().filter_map(|message| text(message, "id").ok()));
        let Some(newest) = items.last() else { return Ok(seen) };
        ensure!(last.as_ref() != Some(&newest["changeSeq"]), "the changes go round in circles");
        last = Some(newest["changeSeq"].clone());
        let path = format!("/api/v1/conversations/{conversation}/changes?after={}", newest["changeSeq"]);
        page = person.get(stage, &path)?.expect(200)?["items"].clone();
    }
}
