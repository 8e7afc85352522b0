//! One person who writes one message after the other, each until it is acknowledged.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::Stage;
use super::ledger::{Ledger, Message};
use crate::scenarios::people::{Person, messages, unique};
use crate::scenarios::rest::{Answer, Rest};

/// The pause after an attempt that failed. With it, a writer whose attempts all fail at once stays below the gateway's limit of
/// 600 writes a minute.
const RETRY: Duration = Duration::from_millis(150);
/// How long the last message is still tried once the writer is told to stop.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// A writer before it starts.
pub(super) struct Writer {
    rest: Rest,
    token: String,
    room: usize,
    path: String,
    name: String,
    pace: Duration,
    ledger: Arc<Mutex<Ledger>>,
}

/// What became of an attempt.
enum Attempt {
    Acknowledged(Message),
    /// It may have been stored or not.
    Failed(String),
    /// It makes no sense to try again.
    Refused(String),
}

impl Writer {
    pub(super) fn new(
        stage: &Stage,
        person: &Person,
        room: usize,
        conversation: &str,
        name: String,
        (pace, patience): (Duration, Duration),
        ledger: &Arc<Mutex<Ledger>>,
    ) -> Result<Self> {
        Ok(Self {
            rest: Rest::with_patience(stage.rest.url(), &stage.authority()?, patience)?,
            token: person.access_token.clone(),
            room,
            path: messages(conversation),
            name,
            pace,
            ledger: Arc::clone(ledger),
        })
    }

    /// Writes until the other end of `told` is gone.
    pub(super) fn run(self, told: &Receiver<()>) {
        for number in 0_u64.. {
            let text = format!("{} says {number}", self.name);
            if !self.say(&text, told) || told.recv_timeout(self.pace) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Sends one message until it is acknowledged; whether it was.
    fn say(&self, text: &str, told: &Receiver<()>) -> bool {
        let body = json!({"text": text, "nonce": unique("n")});
        let mut told_at = None;
        loop {
            match read(self.rest.post(&self.path, &self.token, &body)) {
                Attempt::Acknowledged(message) => {
                    self.enter(|ledger| ledger.acknowledge(self.room, &self.name, message, Instant::now()));
                    return true;
                }
                Attempt::Failed(why) => self.enter(|ledger| ledger.fail(why)),
                Attempt::Refused(why) => {
                    self.enter(|ledger| ledger.refuse(self.room, text, why));
                    return false;
                }
            }
            if told.try_recv() == Err(TryRecvError::Disconnected) {
                let told_at = *told_at.get_or_insert_with(Instant::now);
                if told_at.elapsed() > LAST_WORDS {
                    self.enter(|ledger| ledger.give_up(self.room, text));
                    return false;
                }
            }
            sleep(RETRY);
        }
    }

    fn enter(&self, entry: impl FnOnce(&mut Ledger)) {
        entry(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn read(answer: Result<Answer>) -> Attempt {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Attempt::Failed(format!("{error:#}")),
    };
    let said = || format!("{} {}", answer.status, String::from_utf8_lossy(&answer.bytes));
    match answer.status {
        200 | 201 => {
            let message = serde_json::from_slice::<Value>(&answer.bytes).map_err(Into::into);
            match message.and_then(|message| Message::read(&message)) {
                Ok(message) => Attempt::Acknowledged(message),
                Err(error) => Attempt::Refused(format!("an acknowledgement that is no message: {error:#}")),
            }
        }
        // RFC 9110: a client may repeat the request after these.
        408 | 425 | 429 | 500..=599 => Attempt::Failed(said()),
        _ => Attempt::Refused(said()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Attempt {
        read(Ok(Answer { status, headers: ureq::http::HeaderMap::new(), bytes: body.as_bytes().to_vec() }))
    }

    #[test]
    fn only_a_message_is_an_acknowledgement() {
        let message = r#"{"id": "m", "seq": 7, "text": "hello"}"#;
        assert!(matches!(answered(201, message), Attempt::Acknowledged(message) if message.seq == 7));
        assert!(matches!(answered(201, "{}"), Attempt::Refused(_)));
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_may_not_is_refused() {
        for status in [429, 500, 502, 503, 504] {
            assert!(matches!(answered(status, ""), Attempt::Failed(_)), "{status}");
        }
        for status in [400, 401, 403, 404, 422] {
            assert!(matches!(answered(status, ""), Attempt::Refused(_)), "{status}");
        }
        assert!(matches!(read(Err(anyhow::anyhow!("connection refused"))), Attempt::Failed(_)));
    }
}
