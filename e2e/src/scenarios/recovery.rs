//! Parts that die while people talk.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::Stage;
use super::people::{text, two_in_conversation, unique};
use super::socket::Socket;
use super::wait::until;

pub(super) fn nothing_acknowledged_is_missing_after_the_chat_pod_is_deleted(stage: &Stage) -> Result<()> {
    const COUNT: usize = 150;
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let mut from = Socket::connect(stage, &ada.access_token)?;
    let mut to = Socket::connect(stage, &ben.access_token)?;
    let mut acknowledged = Vec::new();
    let mut repeated = 0;
    for number in 0..COUNT {
        if number == COUNT / 3 {
            let label = format!("app.kubernetes.io/name=chat,app.kubernetes.io/instance={}", stage.platform);
            stage.kubectl(["delete", "pod", "--selector", &label, "--wait=false"])?;
        }
        let message =
            json!({"conversationId": conversation, "text": format!("message {number}"), "nonce": unique("n")});
        // As a client does: the same nonce again until it is acknowledged. The client reconnects by itself.
        let answer = until("an acknowledgement", Duration::from_secs(90), || {
            let answer = from.emit("message:send", &message).inspect_err(|_| repeated += 1)?;
            ensure!(answer["ok"] == true, "{answer}");
            Ok(answer)
        })?;
        acknowledged.push(text(&answer["message"], "id")?);
    }

    let history = ben.history(stage, &conversation)?;
    let stored: Vec<String> = history.iter().map(|message| text(message, "id")).collect::<Result<_>>()?;
    ensure!(
        stored == acknowledged,
        "{} acknowledged, {} stored, or in another order",
        acknowledged.len(),
        stored.len()
    );

    // Who listened asks for what came while the connection was gone, and then has everything.
    let answer = until("resuming", Duration::from_mins(1), || {
        let answer = to.emit("resume", &json!({"cursors": {conversation.as_str(): 0}}))?;
        ensure!(answer["ok"] == true, "{answer}");
        Ok(answer)
    })?;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let resumed = answer["changes"][&conversation].as_array().cloned().unwrap_or_default();
    let mut last = resumed.last().and_then(|message| message["changeSeq"].as_u64()).unwrap_or_default();
    seen.extend(resumed.iter().filter_map(|message| text(message, "id").ok()));
    while seen.len() < COUNT {
        let path = format!("/api/v1/conversations/{conversation}/changes?after={last}");
        let page = ben.get(stage, &path)?.expect(200)?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        ensure!(!items.is_empty(), "resuming and catching up gave {} of {COUNT}", seen.len());
        last = items.last().and_then(|message| message["changeSeq"].as_u64()).unwrap_or_default();
        seen.extend(items.iter().filter_map(|message| text(message, "id").ok()));
    }
    stage.note(format!("{repeated} emits repeated"));
    stage.wait_until_ready()
}
