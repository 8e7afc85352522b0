//! How a socket comes to be: its token is verified, its session checked, its handlers set, and only then is it connected.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::id::{SessionId, UserId};
use jiff::Timestamp;
use runtime::clock::Clock;
use runtime::identity::{Identity, TokenError, TokenVerifier};
use runtime::shutdown::Shutdown;
use runtime::trace;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, Event, SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::DisconnectReason;
use socketioxide::{ParserConfig, SocketIo};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attendance::Attending;
use super::queue::{Inbox, Job, Owner, Queue, queue};
use super::{Attendance, Events, FirstPingLayer, Hub, Revocations};
use crate::names::Names;
use crate::settings::Sockets;

/// Where Socket.IO is.
const PATH: &str = "/socket.io";

/// What sockets need. Clones share it.
#[derive(Clone)]
pub struct Realtime {
    /// Verifies tokens.
    pub verifier: TokenVerifier,
    /// Knows revoked sessions.
    pub revocations: Revocations,
    /// Keeps who is online.
    pub attendance: Attendance,
    /// All sockets of this replica.
    pub hub: Hub,
    /// Works off what clients send.
    pub events: Events,
    /// Remembers by which names users can be mentioned.
    pub names: Names,
    /// Tells when tokens expire.
    pub clock: Clock,
}

/// Why a socket is not let in; the text is the `message` of the client's `connect_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("unauthenticated")]
    NoToken,
    #[error("invalid-token")]
    InvalidToken,
    #[error("token-expired")]
    Expired,
    #[error("session-revoked")]
    Revoked,
    #[error("unavailable")]
    Unavailable,
}

/// What a handshake leaves for the moment of connection. It holds no socket: the socket holds it.
struct Admitted {
    owner: Owner,
    expires_at: Timestamp,
    queue: Mutex<Option<Queue>>,
    attending: Mutex<Option<Attending>>,
    gone: CancellationToken,
}

/// The layer that answers `/socket.io/`, and the task that ends its sockets in order at the stop: what clients have sent is stored and
/// acknowledged, then their connections are closed, so that they connect elsewhere. After that it is `over`.
pub fn layer(
    realtime: Realtime,
    settings: &Sockets,
    shutdown: Shutdown,
    over: CancellationToken,
) -> (FirstPingLayer<SocketIoLayer>, impl Future<Output = ()> + Send + 'static) {
    let (layer, io) = SocketIo::builder()
        .req_path(PATH)
        .max_payload(settings.max_payload_bytes)
        .ws_max_message_size(usize::try_from(settings.max_payload_bytes).unwrap_or(usize::MAX))
        .ws_max_frame_size(usize::try_from(settings.max_payload_bytes).unwrap_or(usize::MAX))
        .max_buffer_size(settings.buffered_packets)
        .ping_interval(Duration::from_secs(settings.ping_interval_seconds))
        .ping_timeout(Duration::from_secs(settings.ping_timeout_seconds))
        .connect_timeout(Duration::from_secs(10))
        // Nothing here takes binary data.
        .with_parser(ParserConfig::common().max_incoming_binaries(0))
        .build_layer();
    let (queues, closing) = (TaskTracker::new(), CancellationToken::new());
    let admit = {
        let realtime = realtime.clone();
        let closing = closing.clone();
        move |socket: SocketRef, TryData(auth): TryData<Value>| {
            let (realtime, closing) = (realtime.clone(), closing.clone());
            async move { realtime.admit(&socket, auth.ok(), &closing).await }
        }
    };
    let (hub, attendance) = (realtime.hub.clone(), realtime.attendance.clone());
    let connect = {
        let queues = queues.clone();
        move |socket: SocketRef| {
            realtime.connected(&socket, &queues);
            std::future::ready(())
        }
    };
    io.ns("/", connect.with(admit));
    let end = async move {
        // However this ends, what served the sockets is not needed any longer.
        let _over = over.drop_guard();
        shutdown.soft().cancelled().await;
        closing.cancel();
        queues.close();
        queues.wait().await;
        for socket in io.sockets() {
            if let Some(admitted) = socket.extensions.get::<Arc<Admitted>>() {
                admitted.leave();
            }
        }
        hub.clear();
        io.close().await;
        attendance.settle().await;
    };
    (FirstPingLayer::new(layer, PATH), end)
}

impl Admitted {
    fn leave(&self) {
        self.gone.cancel();
        drop(self.attending.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Realtime {
    async fn admit(&self, socket: &SocketRef, auth: Option<Value>, closing: &CancellationToken) -> Result<(), Refused> {
        if closing.is_cancelled() {
            return Err(Refused::Unavailable);
        }
        let identity = self.identify(auth.as_ref()).await?;
        self.names.saw(&identity).await;
        let (inbox, queue) = queue();
        let attending = self.attendance.arrive(identity.user_id).await.map_err(|error| unavailable(&error))?;
        let gone = closing.child_token();
        let admitted = Arc::new(Admitted {
            owner: Owner {
                user: identity.user_id,
                session: identity.session_id,
                trace: trace::accept(&socket.req_parts().headers),
            },
            expires_at: identity.expires_at,
            queue: Mutex::new(Some(queue)),
            attending: Mutex::new(Some(attending)),
            gone,
        });
        // Before the client is told that it is connected: it may send at once.
        listen(socket, inbox, &admitted, self.hub.clone());
        socket.extensions.insert(admitted);
        Ok(())
    }

    async fn identify(&self, auth: Option<&Value>) -> Result<Identity, Refused> {
        let token = auth.and_then(|auth| auth.get("token")).and_then(Value::as_str).ok_or(Refused::NoToken)?;
        let identity = self.verifier.verify(token).map_err(|error| match error {
            TokenError::Missing => Refused::NoToken,
            TokenError::Invalid(_) => Refused::InvalidToken,
            TokenError::Expired => Refused::Expired,
        })?;
        if self.revocations.is_revoked(identity.session_id).await.map_err(|error| unavailable(&error))? {
            return Err(Refused::Revoked);
        }
        Ok(identity)
    }

    /// From here on the socket gets what its user is to know, and what its client sent is worked off.
    fn connected(&self, socket: &SocketRef, queues: &TaskTracker) {
        let Some(admitted) = socket.extensions.get::<Arc<Admitted>>() else { return };
        let Some(queue) = admitted.queue.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let owner = admitted.owner.clone();
        let (user, session) = (owner.user, owner.session);
        self.hub.add(user, session, socket.clone());
        if admitted.gone.is_cancelled() || !socket.connected() {
            // It went while it came; its farewell may have found nothing to take out.
            self.hub.remove(user, socket.id);
        }
        let expires = self.expiry(admitted.expires_at);
        let (events, hub, gone) = (self.events.clone(), self.hub.clone(), admitted.gone.clone());
        let this = self.clone();
        let socket = socket.clone();
        queues.spawn(async move {
            this.welcome(user, session, &socket).await;
            queue.run(owner, socket, expires, events, hub, gone).await;
        });
    }

    async fn welcome(&self, user: UserId, session: SessionId, socket: &SocketRef) {
        self.revocations.check(user, session).await;
        for contact in self.attendance.contacts_online(user).await {
            if socket.emit("presence", &json!({"userId": contact, "online": true})).is_err() {
                return;
            }
        }
    }

    fn expiry(&self, expires_at: Timestamp) -> Instant {
        let left = expires_at.duration_since(self.clock.now());
        Instant::now() + Duration::try_from(left).unwrap_or(Duration::ZERO)
    }
}

/// Sets the handlers. They hold the queue, not the socket, which would then hold itself.
fn listen(socket: &SocketRef, inbox: Inbox, admitted: &Arc<Admitted>, hub: Hub) {
    // No event has a handler of its own, so this one gets them all, in the order of their arrival.
    socket.on_fallback(move |Event(event): Event, TryData(body): TryData<Value>, ack: AckSender| {
        inbox.put(Job { event, body: body.ok(), ack });
        std::future::ready(())
    });
    let admitted = Arc::downgrade(admitted);
    socket.on_disconnect(move |socket: SocketRef, reason: DisconnectReason| {
        if let Some(admitted) = admitted.upgrade() {
            hub.remove(admitted.owner.user, socket.id);
            admitted.leave();
            tracing::debug!(user = %admitted.owner.user, %reason, "a socket is gone");
        }
        std::future::ready(())
    });
}

fn unavailable(error: &redis::RedisError) -> Refused {
    tracing::warn!(error = error.to_string(), "cannot let a socket in without Redis");
    Refused::Unavailable
}
