//! Letters about accounts, and who is in charge.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::people::{PASSWORD, Person};
use super::rest::Answer;
use super::wait::until;
use super::{Stage, mail, media};

const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn one_link_verifies_an_address_and_another_lets_choose_a_new_password(stage: &Stage) -> Result<()> {
    const NEW: &str = "another horse, another staple";
    let ada = Person::register(stage, "ada")?;
    let letter = mail::wait_for(stage, &ada.email, "Confirm your e-mail address", LIMIT)?;
    let verified = enter(stage, "verify-email", &json!({"token": token_of(&letter)?}))?;
    ensure!(verified.status == 204, "verifying is answered {}", verified.status);
    let me = ada.get(stage, "/api/v1/users/me")?.expect(200)?;
    ensure!(me["emailVerified"] == true, "not verified: {me}");

    for email in [ada.email.as_str(), "nobody@example.com"] {
        let asked = enter(stage, "forgot-password", &json!({"email": email}))?;
        ensure!(asked.status == 202, "a forgotten password is answered {}", asked.status);
    }
    let letter = mail::wait_for(stage, &ada.email, "Choose a new password", LIMIT)?;
    let reset = enter(stage, "reset-password", &json!({"token": token_of(&letter)?, "password": NEW}))?;
    ensure!(reset.status == 204, "the reset is answered {}", reset.status);
    ensure!(ada.get(stage, "/api/v1/users/me")?.status == 401, "a session outlived the reset");
    let log_in = |password: &str| enter(stage, "login", &json!({"username": ada.username, "password": password}));
    log_in(PASSWORD)?.refused(401, "invalid-credentials")?;
    log_in(NEW)?.expect(200)?;
    mail::wait_for(stage, &ada.email, "Your password was changed", LIMIT).map(drop)
}

pub(super) fn a_command_makes_an_admin_who_locks_somebody_out_at_once(stage: &Stage) -> Result<()> {
    let (ada, eve) = (Person::register(stage, "ada")?, Person::register(stage, "eve")?);
    let disable = format!("/api/v1/admin/users/{}/disable", eve.id);
    stage.rest.post(&disable, &ada.access_token, &json!({}))?.refused(403, "forbidden")?;
    let pod = format!("deployment/{}-auth", stage.platform);
    stage.exec(&pod, "auth", &["/usr/local/bin/auth", "grant-admin", &ada.username])?;
    // The gateway goes by the token, so it takes a new one.
    let ada = ada.log_in(stage)?;

    stage.rest.post(&disable, &ada.access_token, &json!({"reason": "spam"}))?.expect(200)?;

    ensure!(eve.get(stage, "/api/v1/users/me")?.status == 401, "the access token still works");
    let login = json!({"username": eve.username, "password": PASSWORD});
    enter(stage, "login", &login)?.refused(403, "account-disabled")?;
    let log = ada.get(stage, &format!("/api/v1/admin/audit?userId={}", eve.id))?.expect(200)?;
    let entry = &log["items"][0];
    ensure!(entry["action"] == "user-disabled" && entry["actor"]["id"] == ada.id.as_str(), "not in the log: {log}");
    ensure!(entry["actor"]["address"].is_string(), "the log does not say from where: {entry}");
    Ok(())
}

pub(super) fn an_account_that_is_deleted_hands_its_group_over_and_takes_its_picture_along(stage: &Stage) -> Result<()> {
    // All that a PNG is told by.
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let (ada, ben) = (Person::register(stage, "ada")?, Person::register(stage, "ben")?);
    let group = ada.open_group(stage, &[&ben.id])?;
    ada.send(stage, &group, "so long")?;
    let picture = media::upload(stage, &ada, PNG)?;
    let content = media::content(&picture)?;
    ensure!(ben.get(stage, &content)?.status == 404, "a file is seen by others before it is a picture");
    let change = json!({"avatarId": picture["id"]});
    stage.rest.json("PATCH", "/api/v1/users/me", &ada.access_token, &change)?.expect(200)?;
    until("the picture is seen by others", LIMIT, || ben.get(stage, &content)?.expect_status(200))?;

    let gone = json!({"password": PASSWORD});
    stage.rest.post("/api/v1/users/me/delete", &ada.access_token, &gone)?.expect_status(204)?;

    ensure!(ada.get(stage, "/api/v1/users/me")?.status == 401, "the access token still works");
    ben.get(stage, &format!("/api/v1/users/{}", ada.id))?.refused(404, "not-found")?;
    until("the group is handed over", LIMIT, || {
        let group = ben.get(stage, &format!("/api/v1/conversations/{group}"))?.expect(200)?;
        ensure!(group["members"] == json!([{"userId": ben.id, "role": "owner"}]), "not yet: {group}");
        Ok(())
    })?;
    until("the picture is gone", LIMIT, || ben.get(stage, &content)?.refused(404, "not-found"))?;
    let said = ben.history(stage, &group)?;
    ensure!(said.len() == 1 && said[0]["text"] == "so long", "what was said is gone: {said:?}");
    Ok(())
}

/// A request of somebody who is not logged in. All scenarios come from one address, which may make so many at a time.
fn enter(stage: &Stage, route: &str, body: &Value) -> Result<Answer> {
    until(route, Duration::from_mins(3), || {
        let answer = stage.rest.post(&format!("/api/v1/auth/{route}"), "", body)?;
        ensure!(answer.status != 429, "too many requests");
        Ok(answer)
    })
}

/// The token of the link in a letter.
fn token_of(letter: &Value) -> Result<String> {
    let text = letter["text"].as_str().context("the letter has no text")?;
    let after = text.split_once("#token=").with_context(|| format!("no link in {text}"))?.1;
    Ok(after.split_whitespace().next().unwrap_or_default().to_owned())
}
