//! As much of the `MongoDB` wire protocol (`OP_MSG`) as it takes to initiate a replica set, so that
//! whoever starts a server need not link a driver.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

const OP_MSG: i32 = 2013;
const LIMIT: Duration = Duration::from_secs(10);

/// A value of a command (BSON specification, <https://bsonspec.org/spec.html>).
pub(super) enum Bson {
    Int(i32),
    Text(String),
    Document(Vec<(&'static str, Bson)>),
    Array(Vec<Bson>),
}

/// The top level of an answer: names of its fields with their numbers and booleans.
pub(super) struct Answer {
    fields: Vec<(String, Option<f64>)>,
}

impl Answer {
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }

    /// Whether the field is there and neither false nor zero.
    pub(super) fn is(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, value)| field == name && value.is_some_and(|value| value != 0.0))
    }
}

/// Runs one command. An answer that is not ok is an error.
pub(super) fn call(address: &str, database: &str, command: &[(&'static str, Bson)]) -> Result<Answer> {
    let mut body = document(command.iter().map(|(name, value)| (*name, value)));
    append_field(&mut body, "$db", &Bson::Text(database.to_owned()));
    let answer = exchange(address, &body)?;
    let fields = parse(&answer).context("the server's answer is not BSON")?;
    let answer = Answer { fields };
    if !answer.is("ok") {
        bail!("the server refused {}", command.first().map_or("", |(name, _)| name));
    }
    Ok(answer)
}

fn exchange(address: &str, body: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;

    let length = i32::try_from(16 + 4 + 1 + body.len())?;
    let mut message = Vec::new();
    for word in [length, 1, 0, OP_MSG, 0] {
        message.extend(word.to_le_bytes());
    }
    message.push(0);
    message.extend(body);
    stream.write_all(&message)?;

    let mut header = [0; 16];
    stream.read_exact(&mut header)?;
    let length = i32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let mut rest = vec![0; usize::try_from(length - 16)?];
    stream.read_exact(&mut rest)?;
    // Flags and the kind of the section stand before the document.
    rest.get(5..).map(<[u8]>::to_vec).context("the server's answer is too short")
}

fn document<'a>(fields: impl Iterator<Item = (&'a str, &'a Bson)>) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.push(0);
    for (name, value) in fields {
        append_field(&mut bytes, name, value);
    }
    let length = bytes.len();
    set_length(&mut bytes, length);
    bytes
}

fn append_field(document: &mut Vec<u8>, name: &str, value: &Bson) {
    document.pop();
    let (kind, bytes) = match value {
        Bson::Int(value) => (0x10, value.to_le_bytes().to_vec()),
        Bson::Text(value) => {
            let mut bytes = length_prefix(value.len() + 1).to_vec();
            bytes.extend(value.as_bytes());
            bytes.push(0);
            (0x02, bytes)
        }
        Bson::Document(fields) => (0x03, self::document(fields.iter().map(|(name, value)| (*name, value)))),
        Bson::Array(items) => {
            let names: Vec<String> = (0..items.len()).map(|index| index.to_string()).collect();
            (0x04, self::document(names.iter().map(String::as_str).zip(items)))
        }
    };
    document.push(kind);
    document.extend(name.as_bytes());
    document.push(0);
    document.extend(bytes);
    document.push(0);
    let length = document.len();
    set_length(document, length);
}

fn set_length(document: &mut [u8], length: usize) {
    document[..4].copy_from_slice(&length_prefix(length));
}

fn length_prefix(length: usize) -> [u8; 4] {
    // Commands made here are far below BSON's 16 MiB.
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn parse(mut bytes: &[u8]) -> Option<Vec<(String, Option<f64>)>> {
    take(&mut bytes, 4)?;
    let mut fields = Vec::new();
    loop {
        let kind = take(&mut bytes, 1)?[0];
        if kind == 0 {
            return Some(fields);
        }
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let name = String::from_utf8_lossy(take(&mut bytes, end)?).into_owned();
        take(&mut bytes, 1)?;
        let value = match kind {
            0x01 => Some(f64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?)),
            0x08 => Some(f64::from(take(&mut bytes, 1)?[0])),
            0x10 => Some(f64::from(i32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?))),
            _ => {
                let size = size_of_value(kind, bytes)?;
                take(&mut bytes, size)?;
                None
            }
        };
        fields.push((name, value));
    }
}

fn size_of_value(kind: u8, bytes: &[u8]) -> Option<usize> {
    let length = || Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize);
    Some(match kind {
        0x02 => 4 + length()?,
        0x03 | 0x04 => length()?,
        0x05 => 5 + length()?,
        0x07 => 12,
        0x09 | 0x11 | 0x12 => 8,
        0x0a => 0,
        _ => return None,
    })
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}
