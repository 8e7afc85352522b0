//! The official Socket.IO client, driven in a process of its own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A client process. It ends with the value.
pub(crate) struct Client {
    commands: mpsc::UnboundedSender<String>,
    state: Arc<State>,
    _process: Child,
}

#[derive(Default)]
struct State {
    answers: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<HashMap<String, Vec<(String, Value)>>>,
    news: Notify,
    last_id: Mutex<u64>,
}

/// One of its sockets.
pub(crate) struct Socket {
    name: String,
    commands: mpsc::UnboundedSender<String>,
    state: Arc<State>,
}

impl Client {
    pub(crate) fn start() -> Self {
        let mut process = Command::new("node")
            .arg(installed().join("driver.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let state = Arc::<State>::default();
        let (commands, queue) = mpsc::unbounded_channel();
        tokio::spawn(write(process.stdin.take().unwrap(), queue));
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let reading = Arc::clone(&state);
        tokio::spawn(async move {
            let mut lines = lines;
            while let Ok(Some(line)) = lines.next_line().await {
                reading.take(serde_json::from_str(&line).unwrap());
            }
        });
        Self { commands, state, _process: process }
    }

    /// Connects with default transports (polling, then WebSocket), or says why not.
    pub(crate) async fn try_connect(&self, url: &str, token: &str, options: Value) -> Result<Socket, String> {
        let name = format!("s{}", self.state.next_id());
        let socket = Socket { name, commands: self.commands.clone(), state: Arc::clone(&self.state) };
        let outcome = socket.command(json!({"do": "connect", "url": url, "token": token, "options": options})).await;
        if outcome["ok"] == true { Ok(socket) } else { Err(outcome["error"].as_str().unwrap().to_owned()) }
    }

    pub(crate) async fn connect(&self, url: &str, token: &str) -> Socket {
        self.try_connect(url, token, json!({})).await.expect("the socket connects")
    }
}

impl Socket {
    /// Emits and gives what it was acknowledged with.
    pub(crate) async fn ask(&self, event: &str, body: Value) -> Value {
        self.command(json!({"do": "ask", "event": event, "body": body})).await["answer"].take()
    }

    /// Emits all without waiting; gives the acknowledgements as they came, each with the place of what it is for.
    pub(crate) async fn burst(&self, event: &str, bodies: Vec<Value>) -> Vec<(usize, Value)> {
        let outcome = self.command(json!({"do": "burst", "event": event, "bodies": bodies})).await;
        serde_json::from_value(outcome["answers"].clone()).unwrap()
    }

    /// Emits without asking for an acknowledgement.
    pub(crate) async fn fire(&self, event: &str, args: Value) {
        self.command(json!({"do": "fire", "event": event, "args": args})).await;
    }

    pub(crate) async fn disconnect(&self) {
        self.command(json!({"do": "disconnect"})).await;
    }

    pub(crate) async fn reconnect(&self) -> Result<(), String> {
        let outcome = self.command(json!({"do": "reconnect"})).await;
        if outcome["ok"] == true { Ok(()) } else { Err(outcome["error"].as_str().unwrap().to_owned()) }
    }

    /// The bodies of all events of this name so far.
    pub(crate) fn received(&self, event: &str) -> Vec<Value> {
        let events = self.state.events.lock().unwrap();
        let mine = events.get(&self.name).into_iter().flatten();
        mine.filter(|(name, _)| name == event).map(|(_, body)| body.clone()).collect()
    }

    /// All events in the order of their arrival, but the first `from`.
    pub(crate) fn events_from(&self, from: usize) -> Vec<(String, Value)> {
        let events = self.state.events.lock().unwrap();
        events.get(&self.name).map_or_else(Vec::new, |mine| mine[from..].to_vec())
    }

    /// Waits until there are more events than so many; false if none comes in time.
    pub(crate) async fn more_than(&self, count: usize) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let news = self.state.news.notified();
            if self.state.events.lock().unwrap().get(&self.name).map_or(0, Vec::len) > count {
                return true;
            }
            if timeout_at(deadline, news).await.is_err() {
                return false;
            }
        }
    }

    /// Waits until there are so many events of this name.
    pub(crate) async fn wait_for(&self, event: &str, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let news = self.state.news.notified();
            let received = self.received(event);
            if received.len() >= count {
                return received;
            }
            let waited = timeout_at(deadline, news).await;
            assert!(waited.is_ok(), "{} of {count} {event} came: {received:#?}", received.len());
        }
    }

    /// Waits for an event of this name that fits.
    pub(crate) async fn wait_until(&self, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let news = self.state.news.notified();
            let received = self.received(event);
            if let Some(found) = received.iter().find(|body| fits(body)) {
                return found.clone();
            }
            assert!(timeout_at(deadline, news).await.is_ok(), "no {event} fits: {received:#?}");
        }
    }

    async fn command(&self, mut command: Value) -> Value {
        let id = self.state.next_id();
        let (answer, answered) = oneshot::channel();
        self.state.answers.lock().unwrap().insert(id, answer);
        command["id"] = id.into();
        command["socket"] = self.name.clone().into();
        self.commands.send(command.to_string()).unwrap();
        let answered = timeout_at(Instant::now() + PATIENCE, answered).await;
        let answer = answered.unwrap_or_else(|_| {
            let ended = self.received("disconnect");
            panic!("no answer to {} {}; disconnected: {ended:?}", command["do"], command["event"])
        });
        answer.expect("the client lives")
    }
}

impl State {
    fn next_id(&self) -> u64 {
        let mut last = self.last_id.lock().unwrap();
        *last += 1;
        *last
    }

    fn take(&self, mut line: Value) {
        if let Some(id) = line["id"].as_u64() {
            if let Some(answer) = self.answers.lock().unwrap().remove(&id) {
                let _ = answer.send(line);
            }
            return;
        }
        let (socket, event) = (line["socket"].as_str().unwrap().to_owned(), line["event"].as_str().unwrap().to_owned());
        self.events.lock().unwrap().entry(socket).or_default().push((event, line["args"][0].take()));
        self.news.notify_waiters();
    }
}

async fn write(mut stdin: ChildStdin, mut commands: mpsc::UnboundedReceiver<String>) {
    while let Some(command) = commands.recv().await {
        if stdin.write_all(format!("{command}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The folder into which the client was installed, once for this version of its lock file.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chat-test-client");
        std::fs::create_dir_all(&folder).unwrap();
        let lock = std::fs::read(source.join("package-lock.json")).unwrap();
        let marker = folder.join("node_modules/.installed");
        for name in ["package.json", "package-lock.json", "driver.mjs"] {
            std::fs::copy(source.join(name), folder.join(name)).unwrap();
        }
        if std::fs::read(&marker).ok().as_ref() != Some(&lock) {
            let npm =
                std::process::Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output();
            let npm = npm.expect("npm starts");
            assert!(npm.status.success(), "{}", String::from_utf8_lossy(&npm.stderr));
            std::fs::write(marker, lock).unwrap();
        }
        folder
    })
}
