//! What people find who were away.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::people::{Person, two_in_conversation, unique};
use super::socket::Socket;
use super::wait::until;
use super::{Stage, firebase, mail};

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

pub(super) fn who_reads_a_conversation_has_read_its_notifications(stage: &Stage) -> Result<()> {
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    ada.send(stage, &conversation, "are you there?")?;
    let last = ada.send(stage, &conversation, "and now?")?;
    notification_of(stage, &ben, &last)?;
    let unread_are = |expected: usize| {
        let unread = listed(stage, &ben)?.into_iter().filter(|found| found["readAt"].is_null()).count();
        ensure!(unread == expected, "{unread} are unread");
        Ok(())
    };
    until("both are told of", LIMIT, || unread_are(2))?;

    let read = format!("/api/v1/conversations/{conversation}/read");
    stage.rest.json("PUT", &read, &ben.access_token, &json!({"seq": last["seq"]}))?.expect(200)?;

    until("both are read", LIMIT, || unread_are(0))
}

pub(super) fn who_was_away_gets_a_push_on_their_phone_that_holds_nothing_of_the_message(stage: &Stage) -> Result<()> {
    let push = firebase::start(stage)?;
    stage.change(&json!({"spec": {"push": push}}))?;
    let outcome = stage.wait_until_usable().and_then(|_| be_pushed(stage));
    stage.change(&json!({}))?;
    let outcome = stage.wait_until_usable().and(outcome);
    firebase::remove(stage)?;
    outcome
}

fn be_pushed(stage: &Stage) -> Result<()> {
    // The pod of before knows of no push, and takes messages until it has gone.
    until("the pod that does not push is gone", LIMIT, || {
        let pods = stage.of_component("pods", "notification")?;
        ensure!(pods.len() == 1, "there are {} pods", pods.len());
        Ok(())
    })?;
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let phone = unique("bens-phone");
    let device = json!({"token": phone, "platform": "android", "name": "Ben's phone"});
    let device = stage.rest.post("/api/v1/devices", &ben.access_token, &device)?.expect(201)?;
    let words = unique("are-you-there");
    let message = ada.send(stage, &conversation, &words)?;

    let pushes = firebase::wait_for(stage, &phone, LIMIT)?;
    ensure!(pushes.len() == 1 && pushes[0]["data"]["messageId"] == message["id"], "not of the message: {pushes:?}");
    ensure!(!pushes[0].to_string().contains(&words), "the push holds the message's plaintext");
    let listed = ben.list(stage, "/api/v1/devices")?;
    ensure!(listed.len() == 1 && listed[0]["id"] == device["id"], "not the device: {listed:?}");
    let gone = format!("/api/v1/devices/{}", device["id"].as_str().unwrap_or_default());
    stage.rest.json("DELETE", &gone, &ben.access_token, &json!({}))?.expect_status(204)
}

pub(super) fn notification_of(stage: &Stage, person: &Person, message: &Value) -> Result<Value> {
    until("a notification", LIMIT, || {
        let all = listed(stage, person)?;
        all.into_iter().find(|found| found["messageId"] == message["id"]).context("there is none of the message")
    })
}

/// Everything that a person was notified of, newest first.
pub(super) fn listed(stage: &Stage, person: &Person) -> Result<Vec<Value>> {
    person.list(stage, "/api/v1/notifications")
}
