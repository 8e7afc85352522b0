//! Who came and who went, and telling those whom it concerns: everybody who shares a conversation with the user.

use std::time::Duration;

use contract::id::UserId;
use redis::RedisError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::presence::RENEW_EVERY;
use super::{Fanout, Live, Presence};
use crate::store::{Store, StoreError};

/// How often it is looked for who has gone and stayed away.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Keeps presence and announces its changes. Clones share it.
#[derive(Clone)]
pub struct Attendance {
    presence: Presence,
    store: Store,
    fanout: Fanout,
    under_way: TaskTracker,
}

/// A socket's attendance. It ends when dropped, so that a socket that never came to be leaves nobody online.
pub(super) struct Attending {
    attendance: Attendance,
    user: UserId,
}

impl Attendance {
    /// Kept in `presence`, announced by `fanout`.
    #[must_use]
    pub fn new(presence: Presence, store: Store, fanout: Fanout) -> Self {
        Self { presence, store, fanout, under_way: TaskTracker::new() }
    }

    /// A socket of the user is here. When this returns, every replica knows.
    pub(super) async fn arrive(&self, user: UserId) -> Result<Attending, RedisError> {
        let attending = Attending { attendance: self.clone(), user };
        if self.presence.arrive(user).await? {
            let this = self.clone();
            self.under_way.spawn(async move { this.announce(user, true).await });
        }
        Ok(attending)
    }

    /// Those of the user's contacts who are connected now.
    pub(super) async fn contacts_online(&self, user: UserId) -> Vec<UserId> {
        let mut contacts = self.contacts(user).await;
        contacts.retain(|contact| *contact != user);
        let online = self.presence.online(&contacts).await;
        self.fanout.shown(online.clone());
        online
    }

    /// Waits until everybody who left has been taken out. Nobody may come any more.
    pub(super) async fn settle(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Renews presence until it is over, and announces those who have gone and those whose replica died.
    pub async fn run(self, over: CancellationToken) {
        let (mut renewals, mut looks) = (interval(RENEW_EVERY), interval(LOOK_EVERY));
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let gone = tokio::select! {
                () = over.cancelled() => return,
                _ = renewals.tick() => self.presence.renew().await,
                _ = looks.tick() => self.presence.gone().await,
            };
            match gone {
                Ok(gone) if gone.is_empty() => {}
                Ok(gone) => {
                    // Apart: when a replica dies there are thousands, and what is here must be renewed meanwhile.
                    let this = self.clone();
                    tokio::spawn(async move { this.announce_gone(gone).await });
                }
                Err(error) => tracing::warn!(error = error.to_string(), "cannot renew presence"),
            }
        }
    }

    async fn depart(&self, user: UserId) {
        // If Redis cannot be told, the entry expires, and is renewed no more.
        if let Err(error) = self.presence.depart(user).await {
            tracing::warn!(error = error.to_string(), "cannot take a user out of presence");
        }
    }

    async fn announce_gone(&self, gone: Vec<UserId>) {
        for user in gone {
            // By the time that it is their turn, they may be back.
            if self.presence.online(&[user]).await.is_empty() {
                self.announce(user, false).await;
            }
        }
    }

    async fn announce(&self, user_id: UserId, online: bool) {
        match news_of(&self.store, user_id, online).await {
            Ok(news) => self.fanout.publish(news.into_iter().collect()),
            Err(error) => {
                tracing::warn!(error = error.to_string(), "cannot tell whom a user's presence concerns");
            }
        }
    }

    async fn contacts(&self, user: UserId) -> Vec<UserId> {
        self.store.contacts(user).await.unwrap_or_else(|error| {
            tracing::warn!(error = error.to_string(), "cannot tell whom a user's presence concerns");
            Vec::new()
        })
    }
}

/// That a user came or went, for those whom it concerns; nothing if there is nobody.
pub(super) async fn news_of(store: &Store, user_id: UserId, online: bool) -> Result<Option<Live>, StoreError> {
    let mut members = store.contacts(user_id).await?;
    members.retain(|contact| *contact != user_id);
    Ok((!members.is_empty()).then_some(Live::Presence { members, user_id, online }))
}

impl Drop for Attending {
    fn drop(&mut self) {
        let (attendance, user) = (self.attendance.clone(), self.user);
        // Outside of a runtime the process is ending, and the entry expires.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.attendance.under_way.spawn_on(async move { attendance.depart(user).await }, &runtime);
        }
    }
}
