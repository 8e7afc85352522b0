//! The sockets that are connected to this replica, by user.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use contract::id::{SessionId, UserId};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use runtime::metrics::Metrics;
use serde::Serialize;
use socketioxide::SocketError;
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;

/// How long to wait before asking again whether a slow reader's buffer has room for the word that it is disconnected.
const ROOM_CHECK: Duration = Duration::from_millis(200);

/// All connected sockets. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Hub(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sockets: RwLock<HashMap<UserId, Vec<Connected>>>,
    connected: Gauge,
    delivered: Counter,
    too_slow: Counter,
}

#[derive(Clone, Debug)]
struct Connected {
    session: SessionId,
    socket: SocketRef,
}

impl Hub {
    /// Without sockets yet, counting them in `metrics`.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let hub = Self::default();
        metrics.register("chat_sockets", "Sockets connected to this replica", hub.0.connected.clone());
        metrics.register("chat_deliveries", "Events handed to sockets", hub.0.delivered.clone());
        metrics.register("chat_slow_sockets", "Sockets disconnected for reading too slowly", hub.0.too_slow.clone());
        hub
    }

    /// Adds a socket: from now on it gets what its user is to know.
    pub fn add(&self, user: UserId, session: SessionId, socket: SocketRef) {
        let mut sockets = self.0.sockets.write().unwrap_or_else(PoisonError::into_inner);
        sockets.entry(user).or_default().push(Connected { session, socket });
        self.0.connected.inc();
    }

    /// Takes a socket out.
    pub fn remove(&self, user: UserId, socket: Sid) {
        let mut sockets = self.0.sockets.write().unwrap_or_else(PoisonError::into_inner);
        let Some(theirs) = sockets.get_mut(&user) else { return };
        let before = theirs.len();
        theirs.retain(|connected| connected.socket.id != socket);
        let gone = before - theirs.len();
        if theirs.is_empty() {
            sockets.remove(&user);
        }
        for _ in 0..gone {
            self.0.connected.dec();
        }
    }

    /// Takes all sockets out, at the end.
    pub fn clear(&self) {
        self.0.sockets.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.0.connected.set(0);
    }

    /// Whether any of these users is connected here.
    pub fn has_any<'a>(&self, users: impl IntoIterator<Item = &'a UserId>) -> bool {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        users.into_iter().any(|user| sockets.contains_key(user))
    }

    /// Every session that has a socket here, with its user.
    #[must_use]
    pub fn sessions(&self) -> Vec<(UserId, SessionId)> {
        let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
        sockets.iter().flat_map(|(user, theirs)| theirs.iter().map(|c| (*user, c.session))).collect()
    }

    /// Sends an event to every socket of these users. A socket that cannot take it is disconnected: it has missed something and will resume.
    pub fn emit<'a>(&self, users: impl IntoIterator<Item = &'a UserId>, event: &str, body: &impl Serialize) {
        let receivers: Vec<(UserId, SocketRef)> = {
            let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
            let of = |user: &UserId| {
                sockets.get(user).into_iter().flatten().map(|c| (*user, c.socket.clone())).collect::<Vec<_>>()
            };
            users.into_iter().flat_map(of).collect()
        };
        for (user, socket) in receivers {
            if socket.emit(event, body).is_ok() {
                self.0.delivered.inc();
            } else {
                self.give_up(user, socket);
            }
        }
    }

    /// Ends a session's sockets and tells them why.
    pub fn revoke(&self, user: UserId, session: SessionId) {
        let revoked: Vec<SocketRef> = {
            let sockets = self.0.sockets.read().unwrap_or_else(PoisonError::into_inner);
            let theirs = sockets.get(&user).into_iter().flatten();
            theirs.filter(|connected| connected.session == session).map(|connected| connected.socket.clone()).collect()
        };
        for socket in revoked {
            // If its buffer is full it learns by the disconnection alone.
            let _ = socket.emit("session:revoked", &serde_json::json!({"sessionId": session}));
            self.disconnect(user, socket);
        }
    }

    /// Disconnects a socket that did not read fast enough.
    pub fn give_up(&self, user: UserId, socket: SocketRef) {
        if socket.connected() {
            self.0.too_slow.inc();
            tracing::info!(user = %user, socket = %socket.id, "disconnecting a socket that reads too slowly");
        }
        self.disconnect(user, socket);
    }

    /// Disconnects a socket. It gets nothing more from this moment, so that nothing can follow what it missed.
    pub fn disconnect(&self, user: UserId, socket: SocketRef) {
        self.remove(user, socket.id);
        tokio::spawn(async move {
            while let Err(SocketError::InternalChannelFull) = socket.clone().disconnect() {
                tokio::time::sleep(ROOM_CHECK).await;
            }
        });
    }
}
