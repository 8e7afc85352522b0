//! Sessions: from a log-in, through its refreshes, to its end.

use contract::event::{Envelope, RevocationReason, SessionRevoked};
use contract::id::{SessionId, UserId};
use jiff::{SignedDuration, Timestamp};
use runtime::clock::Clock;
use runtime::config::{Fault, Section};
use runtime::outbox::Waker;
use runtime::trace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SERVICE;
use crate::revocations::Revocations;
use crate::store::SessionStore;
use crate::tokens::refresh::{Exchange, Family, RefreshToken};

/// `[sessions]`: how long a session lasts. One that began under another setting keeps what it was given until it is refreshed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifetime {
    /// A session that nobody refreshes for so many hours is over.
    pub idle_hours: u32,
    /// However often it is refreshed, a session is over after so many hours.
    pub longest_hours: u32,
}

/// The most hours of either: ten years.
const MOST_HOURS: u32 = 87_600;

impl Lifetime {
    /// When a session is over that began at `began` and is used at `now`, unless it is used again.
    #[must_use]
    pub fn end(self, began: Timestamp, now: Timestamp) -> Timestamp {
        let hours = |number: u32| SignedDuration::from_hours(i64::from(number));
        (now + hours(self.idle_hours)).min(began + hours(self.longest_hours))
    }
}

impl Section for Lifetime {
    fn faults(&self) -> Vec<Fault> {
        let is_one = |hours| (1..=MOST_HOURS).contains(&hours);
        let bound = |key, hours: u32| {
            (!is_one(hours)).then(|| Fault::new(key, format!("{hours} is none: write hours from 1 to {MOST_HOURS}")))
        };
        let (idle, longest) = (self.idle_hours, self.longest_hours);
        let mut faults: Vec<Fault> =
            [bound("idle_hours", idle), bound("longest_hours", longest)].into_iter().flatten().collect();
        if faults.is_empty() && idle > longest {
            faults.push(Fault::new("idle_hours", format!("{idle} is more than longest_hours, which is {longest}")));
        }
        faults
    }
}

/// One log-in of a user.
#[derive(Clone, Debug)]
pub struct Session {
    /// Identity; `sid` of its access tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When it was refreshed last.
    pub last_used_at: Timestamp,
    /// When it is over unless it is refreshed.
    pub expires_at: Timestamp,
    /// From where it was used last.
    pub client: Client,
    /// Its refresh tokens.
    pub family: Family,
    /// The account's epoch when the user logged in; at a later one the session is over.
    pub epoch: i64,
    /// Set once it has been ended.
    pub ended: Option<Ended>,
}

/// From where a session is used, for its owner to recognise it by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// Network address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The end of a session before its time.
#[derive(Clone, Debug)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: EndReason,
}

/// Why a session was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// Its user logged out.
    LoggedOut,
    /// Its user logged out everywhere.
    LoggedOutEverywhere,
    /// Its user ended it from another session.
    Removed,
    /// A refresh token was used twice.
    TokenReused,
    /// The password was changed or reset.
    PasswordChanged,
    /// Somebody in charge ended it, or disabled the account.
    ByStaff,
    /// The account is gone.
    AccountDeleted,
}

impl Session {
    /// Whether it can be used at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.expires_at
    }
}

/// Why a session was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// No such session, or it is over, or the token is not one of its tokens.
    #[error("the refresh token is not good, or no longer")]
    Refused,
    /// The token had been used before, so the session has been ended.
    #[error("the refresh token had been used before; the session has been ended")]
    Reused,
    /// Too many requests with this token at the same moment.
    #[error("too many refreshes at once")]
    Contended,
    /// The database.
    #[error(transparent)]
    Database(#[from] mongodb::error::Error),
}

/// Opens, refreshes and ends sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: SessionStore,
    revocations: Revocations,
    events: Waker,
    lifetime: Lifetime,
    clock: Clock,
}

impl Sessions {
    /// Sessions kept in `store`, whose ends `revocations` makes known at once and `events` sooner or later.
    #[must_use]
    pub fn new(store: SessionStore, revocations: Revocations, events: Waker, lifetime: Lifetime, clock: Clock) -> Self {
        Self { store, revocations, events, lifetime, clock }
    }

    /// Opens a session for `user`, who has just proved to be the owner of the account at `epoch`, and answers its first
    /// refresh token.
    pub async fn open(&self, user: UserId, epoch: i64, client: Client) -> Result<RefreshToken, mongodb::error::Error> {
        let now = self.clock.now();
        let id = SessionId::new(now, &mut rand::rng());
        let (family, token) = Family::found(id, &mut rand::rng());
        let session = Session {
            id,
            user,
            created_at: now,
            last_used_at: now,
            expires_at: self.lifetime.end(now, now),
            client,
            family,
            epoch,
            ended: None,
        };
        self.store.insert(&session).await?;
        Ok(token)
    }

    /// Exchanges `token` for its successor, and answers that with the session.
    pub async fn refresh(&self, token: &RefreshToken, client: Client) -> Result<(Session, RefreshToken), RefreshError> {
        /// Each round that is lost means that another request with the same token has won it; after that there is
        /// nothing left to write.
        const ROUNDS: usize = 8;
        for _ in 0..ROUNDS {
            let now = self.clock.now();
            let session = self.store.get(token.session()).await?.filter(|session| session.is_live(now));
            let session = session.ok_or(RefreshError::Refused)?;
            let exchange = session.family.exchange(token, now, &mut rand::rng());
            match exchange {
                Exchange::Repeat(successor) => return Ok((session, successor)),
                Exchange::Unknown => return Err(RefreshError::Refused),
                Exchange::Issue(issued) => {
                    let (successor, family) = *issued;
                    let refreshed = Session {
                        last_used_at: now,
                        expires_at: self.lifetime.end(session.created_at, now),
                        client: client.clone(),
                        family,
                        ..session.clone()
                    };
                    if self.store.refreshed(&refreshed, &session.family).await? {
                        return Ok((refreshed, successor));
                    }
                }
                Exchange::Reused => {
                    tracing::warn!(session = %session.id, user = %session.user, "a refresh token was used twice");
                    if self.end_now(&session, EndReason::TokenReused, Some(&session.family)).await? {
                        return Err(RefreshError::Reused);
                    }
                }
            }
        }
        Err(RefreshError::Contended)
    }

    /// The live session that issued `token`, be the token spent or not; for a log-out without an access token.
    pub async fn of_token(&self, token: &RefreshToken) -> Result<Option<Session>, mongodb::error::Error> {
        let session = self.store.get(token.session()).await?;
        Ok(session.filter(|session| session.family.issued(token)))
    }

    /// The session `id`, if it can be used now.
    pub async fn live(&self, id: SessionId) -> Result<Option<Session>, mongodb::error::Error> {
        let now = self.clock.now();
        Ok(self.store.get(id).await?.filter(|session| session.is_live(now)))
    }

    /// The user's sessions that can be used now, newest first.
    pub async fn of_user(&self, user: UserId) -> Result<Vec<Session>, mongodb::error::Error> {
        self.store.live(user, self.clock.now()).await
    }

    /// Ends `session`: its tokens are refused from now on, and whoever listens is told.
    pub async fn end(&self, session: &Session, reason: EndReason) -> Result<(), mongodb::error::Error> {
        self.end_now(session, reason, None).await.map(|_ended| ())
    }

    /// Ends all sessions of `user`.
    pub async fn end_all(&self, user: UserId, reason: EndReason) -> Result<(), mongodb::error::Error> {
        // A log-in that comes in between is not "everywhere" at the time of asking.
        for session in self.of_user(user).await? {
            self.end(&session, reason).await?;
        }
        Ok(())
    }

    /// Ends all sessions of the user but `kept`, which goes on at the account's new `epoch`.
    pub async fn end_others(&self, kept: &Session, epoch: i64, reason: EndReason) -> Result<(), mongodb::error::Error> {
        self.store.adopt(kept.id, epoch).await?;
        for session in self.of_user(kept.user).await?.into_iter().filter(|session| session.id != kept.id) {
            self.end(&session, reason).await?;
        }
        Ok(())
    }

    async fn end_now(
        &self,
        session: &Session,
        reason: EndReason,
        family: Option<&Family>,
    ) -> Result<bool, mongodb::error::Error> {
        let now = self.clock.now();
        let revoked = SessionRevoked {
            user_id: session.user,
            session_id: session.id,
            reason: Some(match reason {
                EndReason::TokenReused => RevocationReason::TokenReused,
                _ => RevocationReason::Ended,
            }),
        };
        let revoked = Envelope::new(SERVICE, revoked.into(), trace::current(), now, &mut rand::rng());
        let ended = self.store.end(session.id, &Ended { at: now, reason }, family, &revoked).await?;
        if ended {
            self.events.wake(session.id.to_string());
            self.revocations.announce(session.id, session.user).await;
        }
        Ok(ended)
    }
}
