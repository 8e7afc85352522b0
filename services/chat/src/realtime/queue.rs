//! A socket's queue: what its client sends is worked through in the order in which it came, by one task.
//!
//! The library runs each event's handler in a task of its own, so anything a handler awaited would let later events overtake. Here the handler
//! only puts the event into the queue, which it does while events are still being read one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use contract::id::{SessionId, UserId};
use contract::problem::Problem;
use contract::trace::TraceParent;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, SocketRef};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Events, Hub};

/// Events that may wait for their turn. A client that sends more without waiting for acknowledgements is refused.
const LONGEST: usize = 1024;
/// What they may hold together, in bytes.
const HEAVIEST: usize = 4 * 1024 * 1024;
/// Most events taken up at once, so that what was sent together is stored together.
const BATCH: usize = 128;

/// An event that a client has sent.
pub(super) struct Job {
    /// Its name.
    pub(super) event: String,
    /// Its first argument; none if that is not JSON.
    pub(super) body: Option<Value>,
    /// How to acknowledge it, if the client wants that.
    pub(super) ack: AckSender,
}

/// Whose socket it is.
#[derive(Clone)]
pub(super) struct Owner {
    pub(super) user: UserId,
    pub(super) session: SessionId,
    /// The trace of its handshake; each event is a step of it.
    pub(super) trace: TraceParent,
}

/// The end at which events come in.
#[derive(Clone)]
pub(super) struct Inbox {
    jobs: mpsc::Sender<(usize, Job)>,
    weight: Arc<AtomicUsize>,
}

/// The end at which they are worked off.
pub(super) struct Queue {
    jobs: mpsc::Receiver<(usize, Job)>,
    weight: Arc<AtomicUsize>,
}

pub(super) fn queue() -> (Inbox, Queue) {
    let (sender, jobs) = mpsc::channel(LONGEST);
    let weight = Arc::<AtomicUsize>::default();
    (Inbox { jobs: sender, weight: Arc::clone(&weight) }, Queue { jobs, weight })
}

impl Inbox {
    /// Queues an event, or refuses it at once.
    pub(super) fn put(&self, job: Job) {
        let weight = job.body.as_ref().map_or(0, weight);
        if self.weight.fetch_add(weight, Ordering::Relaxed) + weight > HEAVIEST {
            self.weight.fetch_sub(weight, Ordering::Relaxed);
            return refuse(job.ack, &too_many());
        }
        let (refused, problem) = match self.jobs.try_send((weight, job)) {
            Ok(()) => return,
            Err(TrySendError::Full((_, job))) => (job, too_many()),
            Err(TrySendError::Closed((_, job))) => {
                (job, Problem::unavailable("The connection is about to end. Connect again and send it once more."))
            }
        };
        self.weight.fetch_sub(weight, Ordering::Relaxed);
        refuse(refused.ack, &problem);
    }
}

fn too_many() -> Problem {
    let detail = format!("At most {LONGEST} events and {HEAVIEST} bytes may await their acknowledgement.");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many at once").detail(detail)
}

fn refuse(ack: AckSender, problem: &Problem) {
    // A socket that cannot even take the refusal is closed or about to be given up.
    let _ = ack.send(&json!({"ok": false, "error": problem}));
}

/// About how many bytes a value takes in memory.
fn weight(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + weight(value)).sum(),
    };
    size_of::<Value>() + inside
}

impl Queue {
    /// Works until the socket is gone or told to go, the token's time is over, or `closing`; what has been queued by then is still done.
    pub(super) async fn run(
        mut self,
        owner: Owner,
        socket: SocketRef,
        expires: Instant,
        events: Events,
        hub: Hub,
        closing: CancellationToken,
    ) {
        let expiry = sleep_until(expires);
        tokio::pin!(expiry);
        let mut jobs = Vec::with_capacity(BATCH);
        let mut over = false;
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled(), if !self.jobs.is_closed() => self.jobs.close(),
                () = &mut expiry, if !over => {
                    over = true;
                    self.jobs.close();
                }
                count = self.jobs.recv_many(&mut jobs, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    let weight: usize = jobs.iter().map(|(weight, _)| weight).sum();
                    if events.handle(&owner, jobs.drain(..).map(|(_, job)| job)).await.is_err() {
                        hub.give_up(owner.user, socket.clone());
                    }
                    self.weight.fetch_sub(weight, Ordering::Relaxed);
                }
            }
        }
        if over && socket.connected() {
            tracing::debug!(user = %owner.user, "disconnecting a socket whose token has expired");
            hub.disconnect(owner.user, socket);
        }
    }
}
