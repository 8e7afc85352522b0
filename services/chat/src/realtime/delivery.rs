//! Passing changes on to the sockets of this replica: in order, each once, and none missing.
//!
//! Changes come from this replica's own writers and from the others by way of Redis. [`Order`] puts them in order and says what is missing; that
//! is fetched from the database. Every few seconds the database is asked which conversations have changed, so that a change of which nobody
//! told, because a replica died in between or Redis was away, is found as well. Who is online is compared with Redis now and then.

use std::collections::HashSet;
use std::time::Duration;

use contract::id::{ConversationId, UserId};
use jiff::{SignedDuration, Timestamp};
use redis::RedisError;
use runtime::clock::Clock;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::attendance::news_of;
use super::fetch::{Fetched, fetch};
use super::inlet::{Inlet, Input, Look, Outlet};
use super::order::{Fetch, Offered, Order, PATIENCE};
use super::passing::Passing;
use super::presence::RENEW_EVERY;
use super::roll_call::RollCall;
use super::{Hub, Live, Presence};
use crate::crypto::Keys;
use crate::store::{Store, StoreError, StoredConversation};

/// How often the database is asked what has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// By how much two looks overlap: clocks differ, and a transaction may commit some time after it took the time.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);
/// By how much the clock of another replica may be behind at the start of this one. What is older than that, sockets have by resuming.
const SKEW: SignedDuration = SignedDuration::from_secs(5);
/// How often it is compared who is online.
const CALL_EVERY: Duration = Duration::from_secs(30);
/// How soon again, where it could not be.
const CALL_AGAIN: Duration = Duration::from_secs(5);

/// The one task that hands changes to sockets.
pub struct Delivery {
    store: Store,
    presence: Presence,
    clock: Clock,
    passing: Passing,
    order: Order<Live>,
    roll_call: RollCall,
    inlet: Inlet,
    inputs: mpsc::UnboundedReceiver<Input>,
    /// Sockets have been here since then at the earliest.
    started: Timestamp,
    /// Up to when the last look saw what had changed.
    looked_up_to: Timestamp,
    looking: bool,
    /// Since when anything may have been missed that a look has not found yet.
    missed_since: Option<Timestamp>,
    /// Conversations that are to be shown again once they have been fetched.
    shown_again: HashSet<ConversationId>,
}

impl Delivery {
    /// For the sockets in `hub`, whose users `presence` keeps.
    #[must_use]
    pub fn new(
        store: Store,
        keys: Keys,
        (hub, presence): (Hub, Presence),
        clock: Clock,
        (inlet, outlet): (Inlet, Outlet),
    ) -> Self {
        let started = clock.now();
        Self {
            store,
            presence,
            clock,
            passing: Passing { hub, keys },
            order: Order::default(),
            roll_call: RollCall::default(),
            inlet,
            inputs: outlet.0,
            started,
            looked_up_to: started,
            looking: false,
            missed_since: None,
            shown_again: HashSet::new(),
        }
    }

    /// Works until it is over.
    pub async fn run(mut self, over: CancellationToken) {
        let [mut looks, mut checks, mut calls] = [LOOK_EVERY, PATIENCE / 3, CALL_EVERY].map(regularly);
        let mut called = Instant::now();
        loop {
            tokio::select! {
                () = over.cancelled() => return,
                Some(input) = self.inputs.recv() => {
                    match input {
                        // A Redis that has lost what it knew is told again by everybody first. But not for ever, where it comes and goes, and
                        // not before the first call: whoever comes until that would count as having been there.
                        Input::Missed(_) if self.roll_call.has_begun() && called.elapsed() < CALL_EVERY * 2 => {
                            calls.reset_after(RENEW_EVERY + RENEW_EVERY / 2);
                        }
                        Input::Called(Err(_)) => calls.reset_after(CALL_AGAIN),
                        _ => {}
                    }
                    self.take(input);
                }
                _ = checks.tick() => {
                    for fetch in self.order.overdue(Instant::now()) {
                        self.fetch(fetch);
                    }
                }
                _ = looks.tick() => {
                    self.order.tidy(Instant::now());
                    self.look();
                }
                _ = calls.tick() => {
                    called = Instant::now();
                    self.call();
                }
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Offered(live) => live.into_iter().for_each(|live| self.offered(live)),
            Input::Missed(deaf_for) => self.missed(deaf_for),
            Input::Fetched(Ok(fetched)) => self.fetched(*fetched),
            Input::Fetched(Err((conversation, error))) => {
                tracing::warn!(error = error.to_string(), "cannot fetch missing changes; trying again");
                self.order.failed(conversation, Instant::now());
            }
            Input::Looked(look, found) => self.looked(look, found),
            Input::Called(answered) => self.called(answered),
            Input::Shown(online) => online.into_iter().for_each(|user| self.roll_call.told(user, true)),
            Input::Untold(user, online) => self.roll_call.told(user, !online),
        }
    }

    fn offered(&mut self, live: Live) {
        match &live {
            Live::Presence { user_id, online, .. } => self.roll_call.told(*user_id, *online),
            Live::Conversation { conversation, .. } if conversation.deleted_at.is_some() => {
                self.passing.keys.forget(conversation.id);
            }
            _ => {}
        }
        let Some((conversation, seq)) = live.place() else { return self.passing.pass(&live) };
        let wanted = self.passing.hub.has_any(&live.concerned());
        match self.order.offer(conversation, seq, live, wanted, Instant::now()) {
            Offered::Pass(ready) => ready.iter().for_each(|live| self.passing.pass(live)),
            Offered::Fetch(fetch) => self.fetch(fetch),
        }
    }

    fn fetch(&self, wanted: Fetch) {
        let (store, inlet, since) = (self.store.clone(), self.inlet.clone(), self.since());
        tokio::spawn(async move {
            let fetched = fetch(&store, wanted, since).await;
            let fetched = fetched.map(Box::new).map_err(|error| (wanted.conversation, error));
            inlet.send(Input::Fetched(fetched));
        });
    }

    fn fetched(&mut self, fetched: Fetched) {
        let (now, id) = (Instant::now(), fetched.id);
        let show = self.shown_again.remove(&id);
        let Some(mut conversation) = fetched.conversation else {
            // It never was, or was removed altogether; nobody can read it.
            return self.order.forget(id);
        };
        let (after, up_to) = (fetched.after, fetched.up_to);
        self.passing.introduce(&conversation, &fetched.newcomers, after);
        let seen: HashSet<u64> = fetched.changes.iter().map(|message| message.change_seq).collect();
        if let Some(key) = conversation.data_key.clone() {
            for message in fetched.changes {
                self.passing.pass(&Live::message(&conversation, &key, message));
            }
        }
        if show || (after + 1..=up_to).any(|seq| !seen.contains(&seq)) {
            // A number without a message: the conversation itself changed, or a message twice. It does no harm to show it again, but its
            // number must not run ahead of what has been passed on: it would take the reader's cursor along.
            conversation.seq = conversation.seq.min(up_to);
            self.passing.pass(&Live::conversation(conversation, Vec::new(), fetched.leavers));
        }
        for live in self.order.fetched(id, up_to, now) {
            self.passing.pass(&live);
        }
    }

    fn missed(&mut self, deaf_for: Duration) {
        let now = self.clock.now();
        let since = SignedDuration::try_from(deaf_for).ok().and_then(|deaf_for| now.checked_sub(deaf_for).ok());
        let since = self.with_overlap(since.unwrap_or(self.started));
        self.missed_since = Some(self.missed_since.map_or(since, |before| before.min(since)));
        self.look();
    }

    fn look(&mut self) {
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let missed_since = self.missed_since.take();
        let since = missed_since.map_or(self.since(), |missed_since| missed_since.min(self.since()));
        let look = Look { began: self.clock.now(), since, again: missed_since.is_some() };
        let (store, inlet) = (self.store.clone(), self.inlet.clone());
        tokio::spawn(async move {
            let found = store.changed_since(since).await;
            inlet.send(Input::Looked(look, found));
        });
    }

    fn looked(&mut self, look: Look, found: Result<Vec<StoredConversation>, StoreError>) {
        self.looking = false;
        match found {
            Ok(found) => {
                let now = Instant::now();
                for conversation in found {
                    if self.passing.hub.has_any(&conversation.concerned().collect::<Vec<_>>()) {
                        self.order.reached(conversation.id, conversation.seq, now);
                        if look.again {
                            self.shown_again.insert(conversation.id);
                            self.order.look_again(conversation.id, now);
                        }
                    }
                }
                self.looked_up_to = self.looked_up_to.max(look.began);
            }
            Err(error) => {
                // The next look goes back as far as this one should have.
                tracing::warn!(error = error.to_string(), "cannot look for missed changes");
                if look.again {
                    self.missed_since.get_or_insert(look.since);
                }
                return;
            }
        }
        if self.missed_since.is_some() {
            self.look();
        }
    }

    /// From when on changes may not have been passed on yet.
    fn since(&self) -> Timestamp {
        self.with_overlap(self.looked_up_to)
    }

    fn with_overlap(&self, moment: Timestamp) -> Timestamp {
        let before = |moment: Timestamp, by| moment.checked_sub(by).unwrap_or(Timestamp::MIN);
        before(moment, OVERLAP).max(before(self.started, SKEW))
    }

    fn call(&mut self) {
        if self.roll_call.begin() {
            let (presence, inlet) = (self.presence.clone(), self.inlet.clone());
            tokio::spawn(async move { inlet.send(Input::Called(presence.everybody().await)) });
        }
    }

    fn called(&mut self, answered: Result<HashSet<UserId>, RedisError>) {
        let missed = match answered {
            Ok(answered) => self.roll_call.answered(&answered),
            Err(error) => {
                tracing::warn!(error = error.to_string(), "cannot compare who is online");
                return self.roll_call.failed();
            }
        };
        if missed.is_empty() {
            return;
        }
        tracing::info!(count = missed.len(), "people came or went of whom nobody told");
        let (store, inlet) = (self.store.clone(), self.inlet.clone());
        tokio::spawn(async move {
            for (user, online) in missed {
                match news_of(&store, user, online).await {
                    Ok(news) => inlet.offer(news.into_iter().collect()),
                    Err(error) => {
                        tracing::warn!(error = error.to_string(), "cannot tell whom a user's presence concerns");
                        inlet.send(Input::Untold(user, online));
                    }
                }
            }
        });
    }
}

fn regularly(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
