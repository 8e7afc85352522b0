//! What people find who were away.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::people::{Person, two_in_conversation, unique};
use super::socket::Socket;
use super::wait::until;
use super::{Stage, mail};

const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn who_was_away_finds_a_notification_and_an_e_mail(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let words = unique("are-you-there");
    let message = ada.send(stage, &conversation, &words)?;

    let notification = notification_of(stage, &ben, &message)?;
    ensure!(notification["senderId"] == ada.id.as_str() && notification["kind"] == "message", "{notification}");
    ensure!(notification["conversationId"] == conversation.as_str(), "of another conversation: {notification}");

    let mail = mail::wait_for(stage, &ben.email, "message", LIMIT)?;
    ensure!(!mail.to_string().contains(&words), "the e-mail holds the message's plaintext");
    ensure!(listed(stage, &ada)?.is_empty(), "the sender was notified too");
    Ok(())
}

pub(super) fn who_was_there_gets_no_notification(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let mut socket = Socket::connect(stage, &ben.access_token)?;
    let there = ada.send(stage, &conversation, "you are there")?;
    socket.wait("message:new", 1)?;
    socket.disconnect()?;
    // Events of a conversation are consumed in order: when this one has come, the other one would have.
    let away = ada.send(stage, &conversation, "you are away")?;
    notification_of(stage, &ben, &away)?;
    let wrong = listed(stage, &ben)?.into_iter().find(|found| found["messageId"] == there["id"]);
    ensure!(wrong.is_none(), "notified of a message that was shown: {wrong:?}");
    Ok(())
}

fn notification_of(stage: &Stage, person: &Person, message: &Value) -> Result<Value> {
    until("a notification", LIMIT, || {
        let all = listed(stage, person)?;
        all.into_iter().find(|found| found["messageId"] == message["id"]).context("there is none of the message")
    })
}

/// Everything that a person was notified of, newest first.
pub(super) fn listed(stage: &Stage, person: &Person) -> Result<Vec<Value>> {
    person.list(stage, "/api/v1/notifications")
}
