//! Passing changes on to the sockets of this replica: in order, each once, and none missing.
//!
//! Changes come from this replica's own writers and from the others by way of Redis. [`Order`] puts them in order and says what is missing; that
//! is fetched from the database. Every few seconds the database is asked which conversations have changed, so that a change of which nobody
//! told, because a replica died in between or Redis was away, is found as well.

use std::collections::HashSet;
use std::time::Duration;

use contract::id::{ConversationId, MessageId, UserId};
use jiff::{SignedDuration, Timestamp};
use runtime::clock::Clock;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::order::{Fetch, Offered, Order, PATIENCE};
use super::{Hub, Live};
use crate::crypto::Keys;
use crate::messages;
use crate::store::{Store, StoreError, StoredConversation, StoredMessage};

/// How often the database is asked what has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// By how much two looks overlap: clocks differ, and a transaction may commit some time after it took the time.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);
/// Most changes fetched at once.
const LARGEST_FETCH: usize = 500;

/// Where changes come in. Clones lead to the same place.
#[derive(Clone, Debug)]
pub struct Inlet(mpsc::UnboundedSender<Input>);

#[derive(Debug)]
enum Input {
    Offered(Vec<Live>),
    Look,
    Fetched(Result<Box<Fetched>, (ConversationId, StoreError)>),
    Looked { began: Timestamp, found: Result<Vec<StoredConversation>, StoreError> },
}

#[derive(Debug)]
struct Fetched {
    id: ConversationId,
    conversation: Option<StoredConversation>,
    after: u64,
    changes: Vec<StoredMessage>,
}

/// The one task that hands changes to sockets.
pub struct Delivery {
    store: Store,
    keys: Keys,
    hub: Hub,
    clock: Clock,
    order: Order<Live>,
    inlet: Inlet,
    inputs: mpsc::UnboundedReceiver<Input>,
    /// Sockets have been here since then at the earliest; what was before, they have by resuming.
    started: Timestamp,
    /// Up to when the last look saw what had changed.
    looked_up_to: Timestamp,
    looking: bool,
}

impl Inlet {
    /// Changes that have been stored.
    pub fn offer(&self, live: Vec<Live>) {
        // Only at the end of the process is there nobody to take them.
        let _ = self.0.send(Input::Offered(live));
    }

    /// Something may have been missed: look now.
    pub fn look(&self) {
        let _ = self.0.send(Input::Look);
    }
}

/// An inlet, and what will become a [`Delivery`].
#[must_use]
pub fn inlet() -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Inlet(sender), Outlet(receiver))
}

/// The other end of an [`Inlet`].
#[derive(Debug)]
pub struct Outlet(mpsc::UnboundedReceiver<Input>);

impl Delivery {
    /// For the sockets in `hub`.
    #[must_use]
    pub fn new(store: Store, keys: Keys, hub: Hub, clock: Clock, inlet: Inlet, outlet: Outlet) -> Self {
        let started = clock.now();
        let order = Order::default();
        Self { store, keys, hub, clock, order, inlet, inputs: outlet.0, started, looked_up_to: started, looking: false }
    }

    /// Works until it is over.
    pub async fn run(mut self, over: CancellationToken) {
        let mut looks = interval(LOOK_EVERY);
        let mut checks = interval(PATIENCE / 3);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = over.cancelled() => return,
                Some(input) = self.inputs.recv() => self.take(input),
                _ = checks.tick() => {
                    for fetch in self.order.overdue(Instant::now()) {
                        self.fetch(fetch);
                    }
                }
                _ = looks.tick() => {
                    self.order.tidy(Instant::now());
                    self.look();
                }
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Offered(live) => live.into_iter().for_each(|live| self.offered(live)),
            Input::Look => self.look(),
            Input::Fetched(Ok(fetched)) => self.fetched(*fetched),
            Input::Fetched(Err((conversation, error))) => {
                tracing::warn!(error = error.to_string(), "cannot fetch missing changes; trying again");
                self.order.failed(conversation, Instant::now());
            }
            Input::Looked { began, found } => self.looked(began, found),
        }
    }

    fn offered(&mut self, live: Live) {
        let Some((conversation, seq)) = live.place() else { return self.pass(&live) };
        let wanted = self.hub.has_any(&live.audience());
        match self.order.offer(conversation, seq, live, wanted, Instant::now()) {
            Offered::Pass(ready) => ready.iter().for_each(|live| self.pass(live)),
            Offered::Fetch(fetch) => self.fetch(fetch),
        }
    }

    fn fetch(&self, Fetch { conversation, after }: Fetch) {
        let (store, inlet, since) = (self.store.clone(), self.inlet.clone(), self.since());
        tokio::spawn(async move {
            let fetched = fetch(&store, conversation, after, since).await;
            let fetched = fetched.map(Box::new).map_err(|error| (conversation, error));
            let _ = inlet.0.send(Input::Fetched(fetched));
        });
    }

    fn fetched(&mut self, Fetched { id, conversation, after, changes }: Fetched) {
        let now = Instant::now();
        let more = changes.len() >= LARGEST_FETCH;
        let last_change = changes.last().map_or(after, |message| message.change_seq);
        let Some(mut conversation) = conversation else {
            // It never was, or was removed altogether; nobody can read it.
            return self.order.forget(id);
        };
        let up_to = if more { last_change } else { last_change.max(conversation.seq) };
        let seen: HashSet<u64> = changes.iter().map(|message| message.change_seq).collect();
        if let Some(key) = conversation.data_key.clone() {
            for message in changes {
                self.pass(&Live::message(&conversation, &key, message));
            }
        }
        if (after + 1..=up_to).any(|seq| !seen.contains(&seq)) {
            // A number without a message: the conversation itself changed, or a message twice. It does no harm to show it again, but its
            // number must not run ahead of what has been passed on: it would take the reader's cursor along.
            conversation.seq = conversation.seq.min(up_to);
            self.pass(&Live::conversation(conversation, Vec::new(), Vec::new()));
        }
        for live in self.order.fetched(id, up_to, now) {
            self.pass(&live);
        }
    }

    fn look(&mut self) {
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let (store, inlet, since, began) = (self.store.clone(), self.inlet.clone(), self.since(), self.clock.now());
        tokio::spawn(async move {
            let found = store.changed_since(since).await;
            let _ = inlet.0.send(Input::Looked { began, found });
        });
    }

    fn looked(&mut self, began: Timestamp, found: Result<Vec<StoredConversation>, StoreError>) {
        self.looking = false;
        match found {
            Ok(found) => {
                for conversation in found {
                    if self.hub.has_any(&conversation.member_ids()) {
                        self.order.reached(conversation.id, conversation.seq, Instant::now());
                    }
                }
                self.looked_up_to = self.looked_up_to.max(began);
            }
            // The next look goes back as far as this one should have.
            Err(error) => tracing::warn!(error = error.to_string(), "cannot look for missed changes"),
        }
    }

    /// From when on changes may not have been passed on yet.
    fn since(&self) -> Timestamp {
        self.looked_up_to.checked_sub(OVERLAP).unwrap_or(self.started).max(self.started)
    }

    fn pass(&self, live: &Live) {
        let audience = live.audience();
        if !self.hub.has_any(&audience) {
            return;
        }
        match live {
            Live::Message { key, message, .. } => self.pass_message(&audience, key, message),
            Live::Conversation { conversation, newcomers, .. } => {
                let body = ConversationBody { conversation_id: conversation.id, conversation: conversation.view() };
                let (new, old): (Vec<UserId>, Vec<UserId>) = audience.iter().partition(|user| newcomers.contains(user));
                self.hub.emit(&new, "conversation:new", &body);
                self.hub.emit(&old, "conversation:updated", &body);
            }
            Live::Read { conversation_id, user_id, seq, .. } => {
                let body = ReadBody { conversation_id: *conversation_id, user_id: *user_id, seq: *seq };
                self.hub.emit(&audience, "conversation:read", &body);
            }
            Live::Typing { conversation_id, user_id, active, .. } => {
                let body = TypingBody { conversation_id: *conversation_id, user_id: *user_id, active: *active };
                self.hub.emit(&audience, "typing", &body);
            }
            Live::Presence { user_id, online, .. } => {
                self.hub.emit(&audience, "presence", &PresenceBody { user_id: *user_id, online: *online });
            }
        }
    }

    fn pass_message(&self, audience: &HashSet<UserId>, key: &crate::crypto::WrappedKey, message: &StoredMessage) {
        if message.deleted_at.is_some() {
            let body = DeletedBody {
                conversation_id: message.conversation_id,
                id: message.id,
                seq: message.seq,
                change_seq: message.change_seq,
            };
            return self.hub.emit(audience, "message:deleted", &body);
        }
        let event = if message.change_seq == message.seq { "message:new" } else { "message:updated" };
        match messages::view(&self.keys, key, message) {
            Ok(body) => self.hub.emit(audience, event, &body),
            Err(error) => {
                tracing::error!(error = error.to_string(), message = %message.id, "cannot read a message to pass it on");
            }
        }
    }
}

async fn fetch(store: &Store, id: ConversationId, after: Option<u64>, since: Timestamp) -> Result<Fetched, StoreError> {
    let conversation = store.conversation(id).await?;
    let after = match after {
        Some(after) => after,
        None => store.seq_before(id, since).await?,
    };
    let changes = store.changes(id, after, LARGEST_FETCH).await?;
    Ok(Fetched { id, conversation, after, changes })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConversationBody {
    conversation_id: ConversationId,
    #[serde(flatten)]
    conversation: contract::conversation::Conversation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedBody {
    conversation_id: ConversationId,
    id: MessageId,
    seq: u64,
    change_seq: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadBody {
    conversation_id: ConversationId,
    user_id: UserId,
    seq: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TypingBody {
    conversation_id: ConversationId,
    user_id: UserId,
    active: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PresenceBody {
    user_id: UserId,
    online: bool,
}
