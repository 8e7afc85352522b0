//! One person's connection: cut, connected again, and every message kept count of.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::seen::Seen;
use super::wire::{self, Message, Packet};

/// How long being let in may take on a busy machine.
const LET_IN_WITHIN: Duration = Duration::from_mins(1);
/// After somebody was told to try again.
const KNOCK_AGAIN: Duration = Duration::from_millis(500);
/// The id of what asks for missed messages.
const RESUME: u64 = 0;

/// How what was missed is had after a connection was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Recovery {
    /// The reader says what it has, by `resume`.
    ByCursor,
    /// The server remembers what it has sent to the session that the client names (Socket.IO's connection state recovery).
    BySession,
}

/// A person, and where they read.
pub(in crate::bench) struct Person {
    /// What lets them in.
    pub(in crate::bench) auth: Value,
    pub(in crate::bench) conversation: String,
}

/// What is told to a connection.
pub(super) enum Order {
    /// Send a message, and say once it was acknowledged.
    Send { text: String, sent: oneshot::Sender<Acknowledged> },
    /// Break the connection off without a word, and connect again after a while.
    Cut { away: Duration },
}

/// A message is stored.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Acknowledged {
    /// Its number in its conversation.
    pub(in crate::bench) seq: u64,
    pub(in crate::bench) at: Instant,
}

/// What a person has received, through all connections.
#[derive(Default)]
pub(super) struct Reader {
    seen: Mutex<Seen>,
    times: Mutex<Vec<Duration>>,
}

/// What happened to all of them.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) connected: AtomicUsize,
    pub(super) delivered: AtomicU64,
    pub(super) repeated: AtomicU64,
    /// Cut on purpose and connected again.
    pub(super) returned: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// A connection that lives on through cuts.
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    pub(super) recovery: Recovery,
    pub(super) person: Person,
    pub(super) reader: Arc<Reader>,
    pub(super) tally: Arc<Tally>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    /// Times in messages are counted from here.
    pub(super) clock: Instant,
}

/// Of a session that a server remembers.
#[derive(Default)]
struct Session {
    id: Option<String>,
    place: Option<String>,
}

/// Why a connection ended in order.
enum End {
    /// Everybody is to go.
    Over,
    Cut(Duration),
}

type Socket = WebSocketStream<TcpStream>;

impl Reader {
    /// Up to which number none is missing.
    pub(super) fn up_to(&self) -> u64 {
        lock(&self.seen).up_to()
    }

    /// The times that timed messages took, which are then forgotten.
    pub(super) fn take_times(&self) -> Vec<Duration> {
        std::mem::take(&mut *lock(&self.times))
    }
}

impl Tally {
    /// The first thing that went wrong.
    pub(super) fn check(&self) -> Result<()> {
        let failures = lock(&self.failures);
        match failures.first() {
            None => Ok(()),
            Some(first) => bail!("{} connections failed, the first: {first}", failures.len()),
        }
    }
}

impl Connection {
    /// Is connected until nobody gives orders any more.
    pub(super) async fn run(mut self) {
        let mut session = Session::default();
        let mut is_again = false;
        loop {
            match self.connect(&mut session, is_again).await {
                Ok(End::Over) => return,
                Ok(End::Cut(away)) => {
                    sleep(away).await;
                    is_again = true;
                }
                Err(error) => return lock(&self.tally.failures).push(format!("{error:#}")),
            }
        }
    }

    async fn connect(&mut self, session: &mut Session, is_again: bool) -> Result<End> {
        let mut socket = timeout(LET_IN_WITHIN, self.knock(session)).await.context("not let in in time")??;
        if is_again {
            self.tally.returned.fetch_add(1, Ordering::Relaxed);
            if self.recovery == Recovery::ByCursor {
                self.resume(&mut socket).await?;
            }
        }
        self.tally.connected.fetch_add(1, Ordering::Relaxed);
        let end = self.listen(&mut socket, session).await;
        self.tally.connected.fetch_sub(1, Ordering::Relaxed);
        end
    }

    /// Is let in, though perhaps not at once: a server may say that it cannot look somebody up just now.
    async fn knock(&self, session: &mut Session) -> Result<Socket> {
        loop {
            if let Some(socket) = self.enter(session).await? {
                return Ok(socket);
            }
            sleep(KNOCK_AGAIN).await;
        }
    }

    /// Opens a connection and is let in, or told to try again.
    async fn enter(&self, session: &mut Session) -> Result<Option<Socket>> {
        let stream = TcpStream::connect(self.address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        // Ten thousand of these have to fit.
        let small = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", self.address);
        let (mut socket, _) = client_async_with_config(url, stream, Some(small)).await.context("no WebSocket")?;
        let mut auth = self.person.auth.clone();
        if let (Some(id), Some(place)) = (&session.id, &session.place) {
            auth["pid"] = id.as_str().into();
            auth["offset"] = place.as_str().into();
        }
        loop {
            let text = next(&mut socket).await?.context("the connection ended before it began")?;
            match wire::read(&text)? {
                Packet::Open => say(&mut socket, wire::connect(&auth)).await?,
                Packet::Ping => say(&mut socket, "3".to_owned()).await?,
                Packet::Connected { session: id } => {
                    session.id = id;
                    return Ok(Some(socket));
                }
                Packet::Refused(why) if why.contains("\"unavailable\"") => return Ok(None),
                other => bail!("not let in: {other:?}"),
            }
        }
    }

    async fn listen(&mut self, socket: &mut Socket, session: &mut Session) -> Result<End> {
        let mut waiting: HashMap<u64, oneshot::Sender<Acknowledged>> = HashMap::new();
        let mut next_id = RESUME + 1;
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    None => return Ok(End::Over),
                    Some(Order::Cut { away }) => return Ok(End::Cut(away)),
                    Some(Order::Send { text, sent }) => {
                        let body = json!({"conversationId": self.person.conversation, "text": text});
                        say(socket, wire::ask(next_id, "message:send", &body)).await?;
                        waiting.insert(next_id, sent);
                        next_id += 1;
                    }
                },
                text = next(socket) => {
                    let text = text?.context("the server ended the connection")?;
                    match wire::read(&text)? {
                        Packet::Ping => say(socket, "3".to_owned()).await?,
                        Packet::Message(message, place) => {
                            session.place = place.or(session.place.take());
                            self.take(&message);
                        }
                        Packet::Answer { id: RESUME, body } => self.resumed(socket, &body).await?,
                        Packet::Answer { id, body } => {
                            ensure!(body["ok"] == true, "a message is refused: {body}");
                            let seq = body["message"]["seq"].as_u64().context("a message was given no number")?;
                            // Whoever does not wait for it any more has a reason to give.
                            let _ = waiting.remove(&id).context("an answer to nothing")?.send(Acknowledged { seq, at: Instant::now() });
                        }
                        Packet::Refused(why) => bail!("the server says {why}"),
                        Packet::Open | Packet::Connected { .. } | Packet::Other => {}
                    }
                }
            }
        }
    }

    async fn resume(&self, socket: &mut Socket) -> Result<()> {
        let cursors = json!({"cursors": {&self.person.conversation: self.reader.up_to()}});
        say(socket, wire::ask(RESUME, "resume", &cursors)).await
    }

    async fn resumed(&self, socket: &mut Socket, body: &Value) -> Result<()> {
        ensure!(body["ok"] == true, "not resumed: {body}");
        for message in body["changes"][&self.person.conversation].as_array().into_iter().flatten() {
            let seq = message["seq"].as_u64().context("a message without a number")?;
            self.take(&Message { seq, text: String::new() });
        }
        let more = body["more"].as_array().is_some_and(|more| !more.is_empty());
        if more { self.resume(socket).await } else { Ok(()) }
    }

    fn take(&self, message: &Message) {
        let is_new = lock(&self.reader.seen).insert(message.seq);
        let count = if is_new { &self.tally.delivered } else { &self.tally.repeated };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(sent) = sent_at(&message.text).filter(|_| is_new) {
            lock(&self.reader.times).push(self.clock.elapsed().saturating_sub(sent));
        }
    }
}

/// The text of a message that is timed: it begins with the moment at which it is sent.
pub(super) fn timed(clock: Instant, text: &str) -> String {
    format!("at {} {text}", clock.elapsed().as_nanos())
}

fn sent_at(text: &str) -> Option<Duration> {
    text.strip_prefix("at ")?.split_once(' ')?.0.parse().ok().map(Duration::from_nanos)
}

/// The next text, or nothing at the end.
async fn next(socket: &mut Socket) -> Result<Option<String>> {
    loop {
        match socket.next().await {
            None | Some(Ok(Frame::Close(_))) => return Ok(None),
            Some(Ok(Frame::Text(text))) => return Ok(Some(text.as_str().to_owned())),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error).context("the connection broke"),
        }
    }
}

async fn say(socket: &mut Socket, text: String) -> Result<()> {
    socket.send(Frame::Text(text.into())).await.context("the connection broke")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_of_sending_is_read_back() {
        let clock = Instant::now();
        assert!(sent_at(&timed(clock, "hello")).is_some_and(|sent| sent <= clock.elapsed()));
        assert_eq!(sent_at("at noon we meet"), None);
        assert_eq!(sent_at("hello"), None);
    }
}
