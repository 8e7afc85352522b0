//! People who use the platform.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::rest::{Answer, Rest};
use super::wait::until;

/// Everybody's password.
pub(super) const PASSWORD: &str = "correct horse battery staple";

/// Somebody with an account, logged in.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl Person {
    /// Registers somebody whose username begins with `name`, at the platform on stage or another one.
    pub(crate) fn register(at: &impl AsRef<Rest>, name: &str) -> Result<Self> {
        let username = unique(name);
        let email = format!("{username}@example.com");
        let body = json!({"email": email, "username": username, "password": PASSWORD, "displayName": name});
        // All scenarios come from one address, which may only register so many people at a time.
        let answer = until("registering", Duration::from_mins(3), || {
            let answer = at.as_ref().post("/api/v1/auth/register", "", &body)?;
            ensure!(answer.status != 429, "too many registrations");
            Ok(answer)
        })?;
        Self::of(&answer.expect(201).context("registering")?, username, email)
    }

    /// Logs in anew: another session of the same person.
    pub(crate) fn log_in(&self, stage: &Stage) -> Result<Self> {
        let body = json!({"username": self.username, "password": PASSWORD});
        let answer = stage.rest.post("/api/v1/auth/login", "", &body)?;
        Self::of(&answer.expect(200).context("logging in")?, self.username.clone(), self.email.clone())
    }

    /// Opens a direct conversation, or finds the one there is; answers its id.
    pub(crate) fn open_direct(&self, stage: &Stage, other: &Self) -> Result<String> {
        let body = json!({"type": "direct", "memberIds": [other.id]});
        let answer = stage.rest.post("/api/v1/conversations", &self.access_token, &body)?;
        let conversation = if answer.status == 200 { answer.expect(200) } else { answer.expect(201) }?;
        text(&conversation, "id")
    }

    /// Opens a group with others, or with nobody yet; answers its id.
    pub(crate) fn open_group(&self, at: &impl AsRef<Rest>, others: &[&str]) -> Result<String> {
        let body = json!({"type": "group", "title": unique("group"), "memberIds": others});
        text(&at.as_ref().post("/api/v1/conversations", &self.access_token, &body)?.expect(201)?, "id")
    }

    /// Sends a message by REST; answers the message.
    pub(crate) fn send(&self, at: &impl AsRef<Rest>, conversation: &str, words: &str) -> Result<Value> {
        let body = json!({"text": words, "nonce": unique("nonce")});
        at.as_ref().post(&messages(conversation), &self.access_token, &body)?.expect(201)
    }

    /// Every message of a conversation, oldest first, by following the cursors of its history.
    pub(crate) fn history(&self, at: &impl AsRef<Rest>, conversation: &str) -> Result<Vec<Value>> {
        let mut found = self.list(at, &messages(conversation))?;
        found.reverse();
        Ok(found)
    }

    /// Every item of a list, in its order, by following its cursors.
    pub(crate) fn list(&self, at: &impl AsRef<Rest>, path: &str) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut page = self.get(at, &format!("{path}?limit=100{cursor}"))?.expect(200)?;
            found.append(page["items"].as_array_mut().context("a page has no items")?);
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(found),
            }
        }
    }

    pub(crate) fn get(&self, at: &impl AsRef<Rest>, path: &str) -> Result<Answer> {
        at.as_ref().get(path, &self.access_token)
    }

    fn of(body: &Value, username: String, email: String) -> Result<Self> {
        Ok(Self {
            id: text(&body["user"], "id")?,
            access_token: text(body, "accessToken")?,
            refresh_token: text(body, "refreshToken")?,
            username,
            email,
        })
    }
}

/// Two people and their direct conversation.
pub(crate) fn two_in_conversation(stage: &Stage) -> Result<(Person, Person, String)> {
    let (ada, ben) = (Person::register(stage, "ada")?, Person::register(stage, "ben")?);
    let conversation = ada.open_direct(stage, &ben)?;
    Ok((ada, ben, conversation))
}

/// The path of a conversation's messages.
pub(crate) fn messages(conversation: &str) -> String {
    format!("/api/v1/conversations/{conversation}/messages")
}

/// A text that no other scenario and no other run uses.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{prefix}-{now:x}{:x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A field that must be a text.
pub(crate) fn text(value: &Value, field: &str) -> Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("no text {field} in {value}"))
}
