//! What clients may send, and how it is acknowledged: `{ok: true, ...}` or `{ok: false, error: <problem>}`, always.

use contract::id::{ConversationId, MessageId};
use contract::message::NewMessage;
use contract::problem::Problem;
use contract::trace::TraceParent;
use runtime::problem::ApiError;
use runtime::trace;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use socketioxide::SendError;
use socketioxide::extract::AckSender;
use tokio::sync::oneshot;

use super::queue::{Job, Owner};
use crate::conversations::Conversations;
use crate::messages::{Edit, MessageError, MessageView, Messages};

/// Most conversations of one `resume`.
const MOST_CURSORS: usize = 500;
/// Most messages of one conversation in the answer to `resume`.
const MOST_RESUMED: usize = 200;

/// Works off clients' events. Clones share everything.
#[derive(Clone)]
pub struct Events {
    conversations: Conversations,
    messages: Messages,
}

/// A socket could not take an acknowledgement: it reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSlow;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Send {
    conversation_id: ConversationId,
    #[serde(flatten)]
    message: NewMessage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EditText {
    #[serde(flatten)]
    at: At,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct React {
    #[serde(flatten)]
    at: At,
    emoji: String,
}

/// Which message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct At {
    conversation_id: ConversationId,
    #[serde(alias = "id")]
    message_id: MessageId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    conversation_id: ConversationId,
    seq: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typing {
    conversation_id: ConversationId,
    active: bool,
}

#[derive(Deserialize)]
struct Resume {
    cursors: std::collections::BTreeMap<ConversationId, u64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Message {
        message: Box<MessageView>,
    },
    Read {
        #[serde(rename = "conversationId")]
        conversation_id: ConversationId,
        seq: u64,
    },
    Resumed {
        changes: Map<String, Value>,
        more: Vec<ConversationId>,
    },
    Nothing {},
}

type Submitted = oneshot::Receiver<Result<MessageView, MessageError>>;

impl Events {
    /// On these conversations and messages.
    #[must_use]
    pub fn new(conversations: Conversations, messages: Messages) -> Self {
        Self { conversations, messages }
    }

    /// Works events off in their order. Messages that follow one another are submitted together before the first is awaited, so that they can be
    /// stored together; anything else waits until they are.
    pub(super) async fn handle(&self, owner: &Owner, jobs: impl Iterator<Item = Job>) -> Result<(), TooSlow> {
        let mut sent: Vec<(TraceParent, AckSender, Submitted)> = Vec::new();
        let mut outcome = Ok(());
        for Job { event, body, ack } in jobs {
            let parent = owner.trace.child();
            if event == "message:send" {
                match trace::scope(parent, "message:send", async { self.submit(owner, body) }).await {
                    Ok(submitted) => sent.push((parent, ack, submitted)),
                    Err(error) => {
                        outcome = outcome.and(flush(&mut sent).await);
                        outcome = outcome
                            .and(trace::scope(parent, "message:send", async { acknowledge(ack, Err(error)) }).await);
                    }
                }
                continue;
            }
            outcome = outcome.and(flush(&mut sent).await);
            let work = async { acknowledge(ack, self.perform(owner, &event, body).await) };
            outcome = outcome.and(trace::scope(parent, "socket event", work).await);
        }
        outcome.and(flush(&mut sent).await)
    }

    fn submit(&self, owner: &Owner, body: Option<Value>) -> Result<Submitted, ApiError> {
        let Send { conversation_id, message } = parse(body)?;
        Ok(self.messages.submit(conversation_id, owner.user, message))
    }

    async fn perform(&self, owner: &Owner, event: &str, body: Option<Value>) -> Result<Answer, ApiError> {
        let user = owner.user;
        let (at, edit) = match event {
            "message:edit" => {
                let EditText { at, text } = parse(body)?;
                (at, Edit::Text(text))
            }
            "message:delete" => (parse(body)?, Edit::Delete),
            "reaction:add" => {
                let React { at, emoji } = parse(body)?;
                (at, Edit::React(emoji))
            }
            "reaction:remove" => {
                let React { at, emoji } = parse(body)?;
                (at, Edit::Unreact(emoji))
            }
            "conversation:read" => {
                let Read { conversation_id, seq } = parse(body)?;
                let seq = self.conversations.read(conversation_id, user, seq).await?;
                return Ok(Answer::Read { conversation_id, seq });
            }
            "typing" => {
                let Typing { conversation_id, active } = parse(body)?;
                self.conversations.typing(conversation_id, user, active).await?;
                return Ok(Answer::Nothing {});
            }
            "resume" => return self.resume(owner, parse(body)?).await,
            _ => return Err(unknown(event).into()),
        };
        let message = self.messages.edit(at.conversation_id, at.message_id, user, edit).await?;
        Ok(Answer::Message { message: Box::new(message) })
    }

    async fn resume(&self, owner: &Owner, Resume { cursors }: Resume) -> Result<Answer, ApiError> {
        if cursors.len() > MOST_CURSORS {
            let message = format!("must be at most {MOST_CURSORS}; send the rest in another event");
            return Err(Problem::validation_failed().error("cursors", message).into());
        }
        let cursors: Vec<_> = cursors.into_iter().collect();
        let resumed = self.messages.resume(owner.user, &cursors, MOST_RESUMED).await?;
        let changes = resumed.changes.into_iter().map(|(id, messages)| (id.to_string(), json!(messages))).collect();
        Ok(Answer::Resumed { changes, more: resumed.more })
    }
}

/// Acknowledges messages in the order in which they were sent, each once it is stored.
async fn flush(sent: &mut Vec<(TraceParent, AckSender, Submitted)>) -> Result<(), TooSlow> {
    let mut outcome = Ok(());
    for (parent, ack, submitted) in sent.drain(..) {
        let work = async {
            let stored = submitted.await.map_err(|_| MessageError::Interrupted).flatten();
            let answer = stored.map(|message| Answer::Message { message: Box::new(message) });
            acknowledge(ack, answer.map_err(ApiError::from))
        };
        outcome = outcome.and(trace::scope(parent, "message:send", work).await);
    }
    outcome
}

fn acknowledge(ack: AckSender, answer: Result<Answer, ApiError>) -> Result<(), TooSlow> {
    #[derive(Serialize)]
    struct Done {
        ok: bool,
        #[serde(flatten)]
        answer: Answer,
    }
    tracing::debug!(ok = answer.is_ok(), "acknowledging");
    let sent = match answer {
        Ok(answer) => ack.send(&Done { ok: true, answer }),
        Err(error) => ack.send(&json!({"ok": false, "error": error.into_problem()})),
    };
    match sent {
        Err(SendError::Socket(socketioxide::SocketError::InternalChannelFull)) => Err(TooSlow),
        Err(SendError::Serialize(error)) => {
            tracing::error!(error = error.to_string(), "cannot encode an acknowledgement");
            Ok(())
        }
        // Whoever has gone does not read.
        Ok(()) | Err(SendError::Socket(_)) => Ok(()),
    }
}

/// Reads an event's argument. What is wrong with it is told to who sent it, and to nobody else.
fn parse<T: DeserializeOwned>(body: Option<Value>) -> Result<T, Problem> {
    let body = body.ok_or_else(|| Problem::malformed_request("The event needs one argument, an object."))?;
    serde_json::from_value(body)
        .map_err(|error| Problem::validation_failed().detail(format!("The argument is not as expected: {error}.")))
}

fn unknown(event: &str) -> Problem {
    let name: String = event.chars().take(64).collect();
    Problem::new(axum::http::StatusCode::NOT_FOUND, "unknown-event", "There is no such event")
        .detail(format!("Nothing is known of {name:?}."))
}
