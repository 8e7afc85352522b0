//! Packets of Socket.IO v5 in Engine.IO v4 over a WebSocket, as far as they are text and of the namespace `/`.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// The event by which a message comes.
const NEW: &str = "42[\"message:new\",";

/// What a server says.
#[derive(Debug, PartialEq)]
pub(super) enum Packet {
    /// The transport is open.
    Open,
    /// The server wants to know whether we are there.
    Ping,
    /// We are let in; with what identifies the session, where there is such a thing.
    Connected { session: Option<String> },
    /// We are not, or no longer.
    Refused(String),
    /// A message, and where it stands in the session, where that is counted.
    Message(Message, Option<String>),
    /// What an event of ours was answered with.
    Answer { id: u64, body: Value },
    /// Anything else.
    Other,
}

/// A message, as far as it is looked at.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Message {
    /// Its number in its conversation.
    pub(super) seq: u64,
    pub(super) text: String,
}

/// Reads one packet.
pub(super) fn read(text: &str) -> Result<Packet> {
    if let Some(rest) = text.strip_prefix(NEW) {
        let mut bodies = serde_json::Deserializer::from_str(rest).into_iter::<Message>();
        let message = bodies.next().context("a message without a body")?.context("a message that cannot be read")?;
        let rest = &rest[bodies.byte_offset()..];
        // With connection state recovery, Node puts the place behind all arguments.
        let place = rest.strip_prefix(",\"").and_then(|rest| rest.strip_suffix("\"]"));
        return Ok(Packet::Message(message, place.map(str::to_owned)));
    }
    Ok(match text.as_bytes() {
        [b'0', ..] => Packet::Open,
        [b'2'] => Packet::Ping,
        [b'4', b'0', ..] => {
            let body: Value = serde_json::from_str(&text[2..]).unwrap_or_default();
            Packet::Connected { session: body["pid"].as_str().map(str::to_owned) }
        }
        [b'1', ..] | [b'4', b'1' | b'4', ..] => Packet::Refused(text.to_owned()),
        [b'4', b'3', ..] => {
            let digits = text[2..].bytes().take_while(u8::is_ascii_digit).count();
            let (id, bodies) = text[2..].split_at(digits);
            let mut bodies: Vec<Value> = serde_json::from_str(bodies).context("an answer that cannot be read")?;
            let body = bodies.first_mut().map(Value::take).unwrap_or_default();
            Packet::Answer { id: id.parse().context("an answer to nothing")?, body }
        }
        _ => Packet::Other,
    })
}

/// Asks to be let in.
pub(super) fn connect(auth: &Value) -> String {
    format!("40{auth}")
}

/// An event that wants an answer.
pub(super) fn ask(id: u64, event: &str, body: &Value) -> String {
    format!("42{id}{}", json!([event, body]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn packets_of_both_servers_are_read() {
        let message = |place: Option<&str>| {
            Packet::Message(Message { seq: 7, text: "a \"b\"]".to_owned() }, place.map(str::to_owned))
        };
        let event = r#"42["message:new",{"id":"x","seq":7,"text":"a \"b\"]","reactions":{}}"#;
        assert_eq!(read(&format!("{event}]")).unwrap(), message(None));
        assert_eq!(read(&format!("{event},\"o1\"]")).unwrap(), message(Some("o1")));
        assert_eq!(read(r#"0{"sid":"a","upgrades":[]}"#).unwrap(), Packet::Open);
        assert_eq!(read("2").unwrap(), Packet::Ping);
        assert_eq!(read(r#"40{"sid":"a"}"#).unwrap(), Packet::Connected { session: None });
        assert_eq!(read(r#"40{"sid":"a","pid":"b"}"#).unwrap(), Packet::Connected { session: Some("b".to_owned()) });
        assert_eq!(read(r#"44{"message":"no"}"#).unwrap(), Packet::Refused(r#"44{"message":"no"}"#.to_owned()));
        assert_eq!(read("41").unwrap(), Packet::Refused("41".to_owned()));
        let body = json!({"ok": true});
        assert_eq!(read(r#"4312[{"ok":true}]"#).unwrap(), Packet::Answer { id: 12, body });
        assert_eq!(read(r#"42["presence",{"online":true}]"#).unwrap(), Packet::Other);
        assert!(read(r#"42["message:new",{"text":"without a number"}]"#).is_err());
    }

    #[test]
    fn packets_are_written() {
        assert_eq!(connect(&json!({"token": "t"})), r#"40{"token":"t"}"#);
        assert_eq!(ask(3, "resume", &json!({"cursors": {"c": 1}})), r#"423["resume",{"cursors":{"c":1}}]"#);
    }
}
