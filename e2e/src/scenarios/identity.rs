//! Letters about accounts, and who is in charge.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::people::{PASSWORD, Person};
use super::rest::Answer;
use super::wait::until;
use super::{Stage, mail};

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
