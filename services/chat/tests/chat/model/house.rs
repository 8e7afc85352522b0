//! Two replicas as processes, and people who write to whichever answers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use servers::Program;
use tempfile::TempDir;

use super::super::client::{Client, PATIENCE};
use super::super::platform::{Person, Platform, until_ready};
use super::plan::Action;
use super::reference::Said;

/// How long an action is tried again, from one replica to the other.
const TRIED_FOR: Duration = Duration::from_mins(2);

pub(super) struct House {
    pub(super) people: Vec<Person>,
    pub(super) client: Client,
    pub(super) conversation: String,
    platform: Platform,
    redis: servers::Redis,
    replicas: [Option<Running>; 2],
}

struct Running {
    program: Program,
    _folder: TempDir,
}

impl House {
    pub(super) async fn open(users: usize) -> Self {
        let redis = servers::Redis::start().unwrap();
        let platform = Platform::with(redis.url(), servers::RabbitMq::shared().virtual_host());
        let people: Vec<Person> = (0..users).map(|n| Person::named(&format!("user-{n}"))).collect();
        let (client, conversation) = (Client::start(), String::new());
        let mut house = Self { people, client, conversation, platform, redis, replicas: [None, None] };
        house.start(0).await;
        house.start(1).await;
        let others: Vec<_> = house.people[1..].iter().map(|person| person.id).collect();
        let body = json!({"type": "group", "title": "Model", "memberIds": others});
        let url = house.url(0).await;
        let opened = call(&url, &house.people[0], Method::POST, "/conversations", Some(body), None).await;
        let (status, opened) = opened.expect("the replica answers");
        assert_eq!(status, 201, "{opened}");
        opened["id"].as_str().unwrap().clone_into(&mut house.conversation);
        house
    }

    pub(super) async fn start(&mut self, replica: usize) {
        if self.replicas[replica].is_some() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let environment = self.platform.environment();
        let program = Program::start("chat", folder.path(), env!("CARGO_BIN_EXE_chat"), environment).unwrap();
        until_ready(&program.admin_url()).await;
        self.replicas[replica] = Some(Running { program, _folder: folder });
    }

    pub(super) fn kill(&mut self, replica: usize) {
        if let Some(mut running) = self.replicas[replica].take() {
            running.program.kill().unwrap();
        }
    }

    /// Tells a replica to stop and waits until it has.
    pub(super) fn stop(&mut self, replica: usize) {
        if let Some(mut running) = self.replicas[replica].take() {
            running.program.terminate().unwrap();
            let status = running.program.wait(PATIENCE).unwrap();
            assert!(status.success(), "a replica ended with {status}");
        }
    }

    /// Where a replica answers; it is started if neither runs, and the other is taken if only that does.
    pub(super) async fn url(&mut self, replica: usize) -> String {
        if self.replicas.iter().all(Option::is_none) {
            self.start(replica).await;
        }
        let wanted = self.replicas[replica].as_ref().or(self.replicas[1 - replica].as_ref());
        wanted.expect("one runs").program.url()
    }

    /// Does all of it at once, each until it is acknowledged. Gives each action with the id of the message that it made.
    pub(super) async fn act(
        &mut self,
        actions: Vec<Action>,
        killed: Option<usize>,
    ) -> (Vec<(Action, Option<String>)>, ()) {
        let urls = [self.url(0).await, self.url(1).await];
        if let Some(killed) = killed {
            // What the killed one had in hand goes on at the other, which must be there.
            self.start(1 - killed).await;
        }
        let urls_after = [self.url(0).await, self.url(1).await];
        let (people, conversation) = (&self.people, &self.conversation);
        let all = join_all(actions.into_iter().enumerate().map(|(n, action)| {
            let urls = [urls[n % 2].clone(), urls_after[0].clone(), urls_after[1].clone()];
            async move {
                let message = until_acknowledged(&urls, people, conversation, &action).await;
                (action, message)
            }
        }));
        let victim = killed.and_then(|killed| self.replicas[killed].take());
        let killing = async {
            if let Some(mut running) = victim {
                tokio::task::spawn_blocking(move || running.program.kill().unwrap()).await.unwrap();
            }
        };
        tokio::join!(all, killing)
    }

    /// Does all of it at once while Redis is away.
    pub(super) async fn act_apart(&mut self, actions: Vec<Action>) -> Vec<(Action, Option<String>)> {
        // A replica that starts waits for Redis, so both are there before.
        self.start(0).await;
        self.start(1).await;
        self.redis.kill();
        let (outcomes, ()) = self.act(actions, None).await;
        self.redis.restart().unwrap();
        for running in self.replicas.iter().flatten() {
            until_ready(&running.program.admin_url()).await;
        }
        outcomes
    }

    /// The number of the last change, and all messages as a replica reads them.
    pub(super) async fn stored(&mut self) -> (u64, BTreeMap<String, Said>) {
        let url = self.url(0).await;
        let get = async |path: String| {
            let answer = call(&url, &self.people[0], Method::GET, &path, None, None).await;
            let (status, body) = answer.expect("the replica answers");
            assert_eq!(status, 200, "{body}");
            body
        };
        let here = format!("/conversations/{}", self.conversation);
        let (mut messages, mut cursor, mut places) = (BTreeMap::new(), String::new(), Vec::new());
        loop {
            let page = get(format!("{here}/messages?limit=200{cursor}")).await;
            for message in page["items"].as_array().unwrap() {
                places.push(message["seq"].as_u64().unwrap());
                let id = message["id"].as_str().unwrap().to_owned();
                assert!(messages.insert(id, Said::read(message)).is_none(), "a message is listed twice");
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert!(places.is_sorted_by(|a, b| a > b), "newest first, each with a place of its own");
        (get(here).await["seq"].as_u64().unwrap(), messages)
    }
}

/// Tries one place after the other until the action is acknowledged. A new message has a nonce, and the rest may be done twice.
async fn until_acknowledged(urls: &[String], people: &[Person], conversation: &str, action: &Action) -> Option<String> {
    let messages = format!("/conversations/{conversation}/messages");
    let at = |message: &str| format!("{messages}/{message}");
    let (user, method, path, body) = match action {
        Action::Send { user, text } => (user, Method::POST, messages.clone(), Some(json!({"text": text}))),
        Action::Edit { user, message, text } => (user, Method::PATCH, at(message), Some(json!({"text": text}))),
        Action::Delete { user, message } => (user, Method::DELETE, at(message), None),
        Action::React { user, message, emoji } => {
            (user, Method::PUT, format!("{}/reactions/{emoji}", at(message)), None)
        }
        Action::Unreact { user, message, emoji } => {
            (user, Method::DELETE, format!("{}/reactions/{emoji}", at(message)), None)
        }
    };
    let nonce = contract::id::EventId::generate().to_string();
    let deadline = Instant::now() + TRIED_FOR;
    for url in urls.iter().cycle() {
        let answer = call(url, &people[*user], method.clone(), &path, body.clone(), Some(&nonce)).await;
        match answer {
            Some((200 | 201 | 204, body)) => {
                let is_new = matches!(action, Action::Send { .. });
                return is_new.then(|| body["id"].as_str().unwrap().to_owned());
            }
            // Gone, going, or its database is electing.
            None | Some((503, _)) => assert!(Instant::now() < deadline, "{action:?} is not acknowledged"),
            Some((status, body)) => panic!("{action:?} was answered with {status}, {body}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// A request; none if there was no answer.
async fn call(
    url: &str,
    who: &Person,
    method: Method,
    path: &str,
    body: Option<Value>,
    nonce: Option<&str>,
) -> Option<(u16, Value)> {
    let mut request = reqwest::Client::new().request(method, format!("{url}/api/v1{path}")).bearer_auth(&who.token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    if let Some(nonce) = nonce {
        request = request.header("Idempotency-Key", nonce);
    }
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}
