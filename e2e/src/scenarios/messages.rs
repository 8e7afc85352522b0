//! Messages by Socket.IO and REST.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::people::{Person, messages, text, two_in_conversation, unique};
use super::socket::Socket;
use super::{Stage, documents};

pub(super) fn three_hundred_messages_emitted_without_waiting_arrive_complete_and_in_order(stage: &Stage) -> Result<()> {
    const COUNT: usize = 300;
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let mut from = Socket::connect(stage, &ada.access_token)?;
    let mut to = Socket::connect(stage, &ben.access_token)?;
    let words: Vec<String> = (0..COUNT).map(|number| format!("message {number}")).collect();
    let list: Vec<Value> = words
        .iter()
        .map(|words| json!({"conversationId": conversation, "text": words, "nonce": unique("n")}))
        .collect();

    let answers = from.burst("message:send", &list)?;
    let received = to.wait("message:new", COUNT)?;

    for answer in &answers {
        ensure!(answer["ok"] == true, "not acknowledged: {answer}");
    }
    let history = ben.history(stage, &conversation)?;
    for (what, found) in [("Socket.IO", &received), ("the history", &history)] {
        ensure!(texts(found)? == words, "{what} has {} messages, or in another order", found.len());
        let numbers: Vec<u64> = found.iter().filter_map(|message| message["seq"].as_u64()).collect();
        ensure!(
            numbers.len() == COUNT && numbers.windows(2).all(|two| two[0] + 1 == two[1]),
            "{what} has gaps: {numbers:?}"
        );
    }
    ensure!(received == history, "Socket.IO and REST show different messages");
    stage.note(format!("transport {}", to.transport()?));
    Ok(())
}

pub(super) fn the_same_nonce_twice_gives_one_message(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let mut socket = Socket::connect(stage, &ada.access_token)?;
    let message = json!({"conversationId": conversation, "text": "only once", "nonce": unique("n")});
    let one = sent(&socket.emit("message:send", &message)?)?;
    let two = sent(&socket.emit("message:send", &message)?)?;
    let body = json!({"text": "only once", "nonce": message["nonce"]});
    let by_rest = stage.rest.post(&messages(&conversation), &ada.access_token, &body)?;
    let three: Value = serde_json::from_slice(&by_rest.bytes)?;
    ensure!(one["id"] == two["id"] && one["id"] == three["id"], "several messages: {one} {two} {three}");
    ensure!(ben.history(stage, &conversation)?.len() == 1, "the history has more than one");
    Ok(())
}

pub(super) fn a_request_that_is_sent_again_under_its_key_is_carried_out_once(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let (group, message) = (json!({"type": "group", "memberIds": [ben.id]}), json!({"text": "only once"}));
    for (path, body) in [("/api/v1/conversations".to_owned(), group), (messages(&conversation), message)] {
        let key = unique("key");
        let headers = [
            ("authorization", format!("Bearer {}", ada.access_token)),
            ("content-type", "application/json".to_owned()),
            ("idempotency-key", format!("\"{key}\"")),
        ];
        let send = |body: &Value| stage.rest.send("POST", &path, &headers, &serde_json::to_vec(body)?);
        let (one, two) = (send(&body)?.expect(201)?, send(&body)?.expect(201)?);
        ensure!(one == two, "answered otherwise: {one} {two}");
        let mut other = body.clone();
        other["text"] = "another".into();
        send(&other)?.refused(422, "idempotency-key-reused")?;
    }
    ensure!(ben.history(stage, &conversation)?.len() == 1, "the history has more than one");
    let found = ben.list(stage, "/api/v1/conversations")?;
    ensure!(found.len() == 2, "not the two conversations: {found:?}");
    Ok(())
}

pub(super) fn who_missed_twenty_messages_resumes_and_has_them(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let mut away = Socket::connect(stage, &ben.access_token)?;
    let first = ada.send(stage, &conversation, "before")?;
    away.wait("message:new", 1)?;

    away.disconnect()?;
    let missed: Vec<String> = (0..20).map(|number| format!("missed {number}")).collect();
    for words in &missed {
        ada.send(stage, &conversation, words)?;
    }
    away.reconnect()?;

    let answer = away.emit("resume", &json!({"cursors": {conversation.as_str(): first["seq"]}}))?;
    ensure!(answer["ok"] == true, "refused: {answer}");
    let changes = answer["changes"][&conversation].as_array().context("no changes of the conversation")?;
    ensure!(texts(changes)? == missed, "resumed with {changes:?}");
    // And the connection is live again.
    ada.send(stage, &conversation, "after")?;
    let received = away.wait("message:new", 2)?;
    ensure!(received.last().is_some_and(|message| message["text"] == "after"), "received {received:?}");
    Ok(())
}

pub(super) fn an_edit_and_a_deletion_reach_the_other_member(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let mut from = Socket::connect(stage, &ada.access_token)?;
    let mut to = Socket::connect(stage, &ben.access_token)?;
    let message = sent(
        &from.emit("message:send", &json!({"conversationId": conversation, "text": "frist", "nonce": unique("n")}))?,
    )?;
    let named = json!({"conversationId": conversation, "messageId": message["id"], "text": "first"});
    sent(&from.emit("message:edit", &named)?)?;
    let updated = to.wait("message:updated", 1)?;
    ensure!(updated[0]["text"] == "first" && updated[0]["editedAt"].is_string(), "updated {updated:?}");
    sent(&from.emit("message:delete", &named)?)?;
    let deleted = to.wait("message:deleted", 1)?;
    ensure!(deleted[0]["id"] == message["id"], "deleted {deleted:?}");
    let history = ben.history(stage, &conversation)?;
    ensure!(history.iter().all(|message| message["text"] != "first"), "the text is still there: {history:?}");
    Ok(())
}

pub(super) fn a_stranger_is_refused_in_rest_and_socket_io(stage: &Stage) -> Result<()> {
    let (ada, _, conversation) = two_in_conversation(stage)?;
    ada.send(stage, &conversation, "private")?;
    let eve = Person::register(stage, "eve")?;

    let read = eve.get(stage, &messages(&conversation))?;
    let written = stage.rest.post(&messages(&conversation), &eve.access_token, &json!({"text": "hello"}))?;
    for answer in [&read, &written] {
        ensure!([403, 404].contains(&answer.status), "answered {}", answer.status);
        ensure!(!String::from_utf8_lossy(&answer.bytes).contains("private"), "the refusal tells the message");
    }
    let mut socket = Socket::connect(stage, &eve.access_token)?;
    let answer =
        socket.emit("message:send", &json!({"conversationId": conversation, "text": "hello", "nonce": unique("n")}))?;
    ensure!(answer["ok"] == false && answer["error"]["code"].is_string(), "not refused: {answer}");
    let answer = socket.emit("resume", &json!({"cursors": {conversation.as_str(): 0}}))?;
    ensure!(!answer.to_string().contains("private"), "resume tells a stranger the message");

    let refusal = Socket::refusal(stage, "no token")?;
    ensure!(!refusal.is_empty(), "no reason is given");
    ensure!(ada.history(stage, &conversation)?.len() == 1, "the stranger's message is there");
    Ok(())
}

pub(super) fn a_log_out_disconnects_the_socket_of_its_session(stage: &Stage) -> Result<()> {
    let ada = Person::register(stage, "ada")?;
    let mut socket = Socket::connect(stage, &ada.access_token)?;
    let body = json!({"refreshToken": ada.refresh_token});
    stage.rest.post("/api/v1/auth/logout", &ada.access_token, &body)?;
    socket.wait("session:revoked", 1)?;
    Socket::refusal(stage, &ada.access_token).map(drop)
}

pub(super) fn the_database_holds_no_plaintext_of_any_message(stage: &Stage) -> Result<()> {
    const COUNT: usize = 5;
    let (ada, _, conversation) = two_in_conversation(stage)?;
    let words: Vec<String> = (0..COUNT).map(|_| unique("a-secret-nobody-may-read")).collect();
    let mut edited = Value::Null;
    for words in &words {
        edited = ada.send(stage, &conversation, words)?;
    }
    let edit = unique("an-edited-secret");
    let path = format!("{}/{}", messages(&conversation), text(&edited, "id")?);
    stage.rest.json("PATCH", &path, &ada.access_token, &json!({"text": edit}))?.expect(200)?;

    // What is surely in the documents shows that the search sees them.
    let mut wanted = words;
    wanted.extend([edit, conversation.clone()]);
    let seen = documents::search(stage, "chat", &wanted)?;
    if let Some(found) = seen.found.iter().find(|found| found.text != conversation) {
        bail!("the collection {} holds the plaintext {:?}", found.collection, found.text);
    }
    let documents: usize = seen.collections.values().sum();
    ensure!(documents > COUNT, "only {documents} documents were looked at: {:?}", seen.collections);
    ensure!(seen.found.len() > COUNT, "the search does not even find the conversation's id");
    stage.note(format!("{documents} documents looked at"));
    Ok(())
}

/// The message of an acknowledgement.
fn sent(answer: &Value) -> Result<Value> {
    if answer["ok"] == true { Ok(answer["message"].clone()) } else { bail!("not acknowledged: {answer}") }
}

fn texts(messages: &[Value]) -> Result<Vec<String>> {
    messages.iter().map(|message| text(message, "text")).collect()
}
