//! The chat service with real servers behind it, and Socket.IO's own server for Node, which keeps nothing.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use servers::{Program, RabbitMq};

use super::connection::{Person, Recovery};
use crate::bench::loopback::Loopback;
use crate::bench::people::{id, token, user};

/// Of each group; it is near the most that one may have.
pub(super) const GROUP: usize = 250;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Node,
}

/// One that runs, with people in groups who are not connected yet.
pub(super) struct Server {
    pub(super) program: Program,
    pub(super) recovery: Recovery,
    pub(super) people: Vec<Vec<Person>>,
}

impl Kind {
    pub(super) const BOTH: [Self; 2] = [Self::Chat, Self::Node];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chat => "the chat service",
            Self::Node => "Socket.IO for Node",
        }
    }

    /// A new one for so many people. `name` is one that no other has had; Node remembers sessions only where connections are cut.
    pub(super) fn start(self, loopback: &Loopback<'_>, name: &str, people: usize, cuts: bool) -> Result<Server> {
        match self {
            Self::Chat => chat(loopback, name, people),
            Self::Node => node(loopback, people, cuts),
        }
    }
}

/// Where a program takes connections.
pub(in crate::bench) fn address(program: &Program) -> Result<SocketAddr> {
    let url = program.url();
    url.strip_prefix("http://").unwrap_or(&url).parse().context("the server has no address")
}

fn chat(loopback: &Loopback<'_>, name: &str, people: usize) -> Result<Server> {
    let program = start_chat(loopback, name, &RabbitMq::shared().virtual_host())?;
    let groups: Vec<usize> = (0..people).step_by(GROUP).collect();
    let people = groups.into_iter().map(|first| open_group(&program, first, GROUP)).collect::<Result<_>>()?;
    Ok(Server { program, recovery: Recovery::ByCursor, people })
}

/// The service as it is shipped, with a database of this name.
pub(in crate::bench) fn start_chat(loopback: &Loopback<'_>, name: &str, rabbitmq_uri: &str) -> Result<Program> {
    let mut variables = loopback.token_variables();
    variables.extend(loopback.store_variables(name, rabbitmq_uri)?);
    variables.push(("CHATPLATFORM_MESSAGE_KEYS__FILE", loopback.key_ring()?));
    loopback.start(variables)
}

/// Opens a group of so many people, numbered from the first, who is its owner.
pub(in crate::bench) fn open_group(program: &Program, first: usize, size: usize) -> Result<Vec<Person>> {
    let others: Vec<String> = (first + 1..first + size).map(user).collect();
    let mut answer = ureq::post(format!("{}/api/v1/conversations", program.url()))
        .header("authorization", format!("Bearer {}", token(first)))
        .send_json(json!({"type": "group", "title": "Friends", "memberIds": others}))
        .context("no group is opened")?;
    let group: Value = answer.body_mut().read_json()?;
    ensure!(group["seq"] == 0, "messages of a new group are not counted from 1: {group}");
    let conversation = group["id"].as_str().context("a group without an id")?;
    let person = |number| Person { auth: json!({"token": token(number)}), conversation: conversation.to_owned() };
    Ok((first..first + size).map(person).collect())
}

fn node(loopback: &Loopback<'_>, people: usize, cuts: bool) -> Result<Server> {
    let program = loopback.start_peer("sockets", vec![("RECOVERY", cuts.to_string())])?;
    let group = |first: usize| {
        let conversation = id('3', first);
        let person = |number| Person {
            auth: json!({"userId": user(number), "conversationId": conversation}),
            conversation: conversation.clone(),
        };
        (first..first + GROUP).map(person).collect()
    };
    Ok(Server { program, recovery: Recovery::BySession, people: (0..people).step_by(GROUP).map(group).collect() })
}
