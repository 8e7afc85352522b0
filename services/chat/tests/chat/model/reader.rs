//! One who reads: by a socket as long as it lasts, by `resume` after that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::client::{Client, Socket};
use super::super::platform::Person;
use super::reference::Said;

pub(super) struct Reader {
    person: Person,
    socket: Option<Connection>,
    /// Everything up to this number has been seen.
    cursor: u64,
    messages: BTreeMap<String, Said>,
}

struct Connection {
    socket: Socket,
    /// So many of its events have been taken in.
    taken: usize,
    /// The number of the last change that it brought.
    last: u64,
}

impl Reader {
    pub(super) fn new(person: Person) -> Self {
        Self { person, socket: None, cursor: 0, messages: BTreeMap::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.person.name
    }

    pub(super) fn messages(&self) -> &BTreeMap<String, Said> {
        &self.messages
    }

    pub(super) fn is_connected(&self) -> bool {
        let ended = |connection: &Connection| !connection.socket.received("disconnect").is_empty();
        self.socket.as_ref().is_some_and(|connection| !ended(connection))
    }

    /// Connects, and asks for what has happened meanwhile. What comes by itself waits until that is there.
    pub(super) async fn connect(&mut self, client: &Client, url: &str, conversation: &str) {
        self.disconnect().await;
        // A replica that is just ending lets nobody in; another step will lead elsewhere.
        let options = json!({"reconnection": false});
        let Ok(socket) = client.try_connect(url, &self.person.token, options).await else { return };
        loop {
            let answer = socket.ask("resume", json!({"cursors": {conversation: self.cursor}})).await;
            if answer["ok"] != true {
                return;
            }
            for change in answer["changes"][conversation].as_array().into_iter().flatten() {
                let seq = change["changeSeq"].as_u64().unwrap();
                assert!(seq > self.cursor, "{} was resumed to {seq} after {}", self.name(), self.cursor);
                self.see(seq, change);
            }
            if answer["more"] == json!([]) {
                break;
            }
        }
        self.socket = Some(Connection { socket, taken: 0, last: 0 });
        self.absorb();
    }

    pub(super) async fn disconnect(&mut self) {
        self.absorb();
        if let Some(connection) = self.socket.take()
            && connection.socket.received("disconnect").is_empty()
        {
            connection.socket.disconnect().await;
        }
    }

    /// Takes in what has come. On one connection each change comes at most once, and in its order.
    pub(super) fn absorb(&mut self) {
        let Some(mut connection) = self.socket.take() else { return };
        let events = connection.socket.events_from(connection.taken);
        connection.taken += events.len();
        for (event, body) in events {
            let number = match event.as_str() {
                "message:new" | "message:updated" | "message:deleted" => &body["changeSeq"],
                "conversation:updated" => &body["seq"],
                _ => continue,
            };
            let seq = number.as_u64().unwrap();
            // How the conversation stands may be shown again, with the number of what came last.
            let least = if event == "conversation:updated" { connection.last } else { connection.last + 1 };
            assert!(seq >= least, "{} was told of {seq} after {}", self.name(), connection.last);
            connection.last = seq;
            // What came while resuming was resumed as well.
            if seq > self.cursor {
                match event.as_str() {
                    "conversation:updated" => self.cursor = seq,
                    "message:deleted" => {
                        self.messages.insert(body["id"].as_str().unwrap().to_owned(), Said::deleted());
                        self.cursor = seq;
                    }
                    _ => self.see(seq, &body),
                }
            }
        }
        self.socket = Some(connection);
    }

    /// Waits until everything up to a number has come, by itself.
    pub(super) async fn reaches(&mut self, seq: u64) {
        self.absorb();
        while self.cursor < seq {
            let Some(connection) = &self.socket else { panic!("{} is not connected", self.name()) };
            let came = connection.socket.more_than(connection.taken).await;
            assert!(came, "{} has seen everything up to {} of {seq}, and nothing comes", self.name(), self.cursor);
            self.absorb();
        }
    }

    fn see(&mut self, seq: u64, message: &Value) {
        self.messages.insert(message["id"].as_str().unwrap().to_owned(), Said::read(message));
        self.cursor = seq;
    }
}
