//! A socket's queue: what its client sends is worked through in the order in which it came, by one task.
//!
//! The library runs each event's handler in a task of its own, so anything a handler awaited would let later events overtake. Here the handler
//! only puts the event into the queue, which it does while events are still being read one after another.

use axum::http::StatusCode;
use contract::id::{SessionId, UserId};
use contract::problem::Problem;
use contract::trace::TraceParent;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, SocketRef};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Events, Hub};

/// Events that may wait for their turn. A client that sends more without waiting for acknowledgements is refused.
const LONGEST: usize = 1024;
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
pub(super) struct Inbox(mpsc::Sender<Job>);

/// The end at which they are worked off.
pub(super) struct Queue(mpsc::Receiver<Job>);

pub(super) fn queue() -> (Inbox, Queue) {
    let (sender, receiver) = mpsc::channel(LONGEST);
    (Inbox(sender), Queue(receiver))
}

impl Inbox {
    /// Queues an event, or refuses it at once.
    pub(super) fn put(&self, job: Job) {
        let (job, problem) = match self.0.try_send(job) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(job)) => {
                let detail = format!("At most {LONGEST} events may await their acknowledgement.");
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many at once");
                (job, problem.detail(detail))
            }
            Err(mpsc::error::TrySendError::Closed(job)) => {
                (job, Problem::unavailable("The connection is about to end. Connect again and send it once more."))
            }
        };
        // A socket that cannot even take the refusal is closed or about to be given up.
        let _ = job.ack.send(&json!({"ok": false, "error": problem}));
    }
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
        let mut expired = false;
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled(), if !self.0.is_closed() => self.0.close(),
                () = &mut expiry, if !expired => {
                    expired = true;
                    self.0.close();
                }
                count = self.0.recv_many(&mut jobs, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    if events.handle(&owner, jobs.drain(..)).await.is_err() {
                        hub.give_up(owner.user, socket.clone());
                    }
                }
            }
        }
        if expired && socket.connected() {
            tracing::debug!(user = %owner.user, "disconnecting a socket whose token has expired");
            hub.disconnect(owner.user, socket);
        }
    }
}
