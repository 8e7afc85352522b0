//! What the sentinels say of who is master (Redis manual, "Sentinel clients").
//!
//! A task per sentinel holds one connection to it, hears of every switch at once, and asks again now and then. Of several answers
//! the one with the greatest configuration epoch is the newest: a sentinel that was cut off may be behind.

use std::sync::Arc;
use std::time::Duration;

use ::redis::{AsyncConnectionConfig, Client, ErrorKind, ProtocolVersion, PushKind, RedisError, RedisResult};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a sentinel may take to be found, and to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the first of them may take to say something before an attempt to connect is given up.
const FIRST_ANSWER: Duration = Duration::from_millis(1500);
/// How often a sentinel is asked while there is a master, beyond what it tells by itself: so that one which is gone is noticed.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How often it is asked while there is none.
const HURRY_EVERY: Duration = Duration::from_millis(250);
/// How long after a failure a sentinel is left alone.
const PAUSE: Duration = Duration::from_millis(500);

const SWITCHES: &str = "+switch-master";

/// Who is master, as one sentinel sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Host of the master.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// The number of the fail-over that made it master.
    pub(super) epoch: u64,
}

/// What a sentinel was last heard to say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Opinion {
    Unknown,
    View(View),
    Silent(String),
}

/// The sentinels of one master. Dropping them ends their tasks.
pub(super) struct Sentinels {
    hosts: Arc<[String]>,
    opinions: watch::Receiver<Vec<Opinion>>,
    hurry: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Sentinels {
    /// Begins to attend to these sentinels, each with its `host:port`.
    pub(super) fn attend(master: &str, clients: Vec<(String, Client)>) -> Self {
        let (opinions, receiver) = watch::channel(vec![Opinion::Unknown; clients.len()]);
        let (opinions, hurry) = (Arc::new(opinions), watch::Sender::new(true));
        let hosts = clients.iter().map(|(host, _)| host.clone()).collect();
        let mut tasks = JoinSet::new();
        for (index, (_, client)) in clients.into_iter().enumerate() {
            let sentinel = Sentinel { index, client, master: master.to_owned(), opinions: Arc::clone(&opinions) };
            tasks.spawn(sentinel.attend(hurry.subscribe()));
        }
        Self { hosts, opinions: receiver, hurry, _tasks: tasks }
    }

    /// Whether they are asked often.
    pub(super) fn hurry(&self, hurry: bool) {
        self.hurry.send_if_modified(|present| std::mem::replace(present, hurry) != hurry);
    }

    /// Who may be master, the likeliest first. Waits for the first answer when there has been none yet.
    pub(super) async fn candidates(&mut self) -> RedisResult<Vec<View>> {
        let answered = |opinions: &Vec<Opinion>| {
            opinions.iter().any(|opinion| matches!(opinion, Opinion::View(_)))
                || opinions.iter().all(|opinion| *opinion != Opinion::Unknown)
        };
        // Late or not, what is known by then counts.
        let _ = timeout(FIRST_ANSWER, self.opinions.wait_for(answered)).await;
        let opinions = self.opinions.borrow_and_update();
        let candidates = ranked(&opinions);
        if candidates.is_empty() { Err(Self::silent(&silence(&self.hosts, &opinions))) } else { Ok(candidates) }
    }

    /// Waits until one of them says something else than before.
    pub(super) async fn changed(&mut self) {
        if self.opinions.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the newest of what they say is newer than `view`, and another server.
    pub(super) async fn left(&mut self, view: &View) {
        loop {
            self.changed().await;
            let newest = ranked(&self.opinions.borrow_and_update()).into_iter().next();
            if newest.is_some_and(|newest| newest.epoch > view.epoch && !newest.is_same_server(view)) {
                return;
            }
        }
    }

    pub(super) fn silent(why: &str) -> RedisError {
        (ErrorKind::MasterNameNotFoundBySentinel, "no sentinel names a master", why.to_owned()).into()
    }
}

impl View {
    /// Whether both name the same server.
    pub(super) fn is_same_server(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

struct Sentinel {
    index: usize,
    client: Client,
    master: String,
    opinions: Arc<watch::Sender<Vec<Opinion>>>,
}

impl Sentinel {
    async fn attend(self, mut hurry: watch::Receiver<bool>) {
        loop {
            let over = match timeout(ANSWER_TIMEOUT * 3, self.greet()).await {
                Ok(Ok((connection, pushed))) => self.listen(connection, pushed, &mut hurry).await,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not answer in time".to_owned(),
            };
            self.say(Opinion::Silent(over));
            sleep(PAUSE).await;
        }
    }

    async fn greet(&self) -> RedisResult<(Connection, mpsc::UnboundedReceiver<::redis::PushInfo>)> {
        let info = self.client.get_connection_info().clone();
        // The third version of the protocol lets one connection listen and ask.
        let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        let (sender, pushed) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_push_sender(sender)
            .set_connection_timeout(Some(ANSWER_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let client = Client::open(info.set_redis_settings(login))?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        connection.subscribe(SWITCHES).await?;
        Ok((connection, pushed))
    }

    /// Listens and asks until that fails, and says why.
    async fn listen(
        &self,
        mut connection: Connection,
        mut pushed: mpsc::UnboundedReceiver<::redis::PushInfo>,
        hurry: &mut watch::Receiver<bool>,
    ) -> String {
        loop {
            match self.ask(&mut connection).await {
                Ok(view) => self.say(Opinion::View(view)),
                Err(error) => return error.to_string(),
            }
            let pause = if *hurry.borrow_and_update() { HURRY_EVERY } else { ASK_EVERY };
            tokio::select! {
                () = sleep(pause) => {}
                _ = hurry.changed() => {}
                () = switch(&mut pushed) => {}
            }
        }
    }

    async fn ask(&self, connection: &mut Connection) -> RedisResult<View> {
        // In this order in one go: while a fail-over is in its last part, the first answer is the new master already and the epoch
        // is the new one, but the address among the details is still the old one.
        let mut questions = ::redis::pipe();
        questions.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        questions.cmd("SENTINEL").arg("MASTER").arg(&self.master);
        let (address, details): (Option<(String, u16)>, std::collections::HashMap<String, String>) =
            questions.query_async(connection).await?;
        let (host, port) = address.ok_or_else(|| Sentinels::silent("it knows none of this name"))?;
        let epoch = details.get("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        Ok(View { host, port, epoch })
    }

    fn say(&self, opinion: Opinion) {
        self.opinions.send_if_modified(|opinions| {
            let Some(mine) = opinions.get_mut(self.index) else { return false };
            let changed = *mine != opinion;
            *mine = opinion;
            changed
        });
    }
}

type Connection = ::redis::aio::MultiplexedConnection;

/// Waits until there was a switch of some master, or the connection is gone.
async fn switch(pushed: &mut mpsc::UnboundedReceiver<::redis::PushInfo>) {
    while let Some(push) = pushed.recv().await {
        if matches!(push.kind, PushKind::Message | PushKind::Disconnection) {
            return;
        }
    }
    // The connection is gone for good, which asking will find out; never twice without a pause between.
    sleep(PAUSE).await;
}

/// Servers that are named as master, by the newest epoch in which one is, then by how many name it.
fn ranked(opinions: &[Opinion]) -> Vec<View> {
    let views = opinions.iter().filter_map(|opinion| match opinion {
        Opinion::View(view) => Some(view),
        Opinion::Unknown | Opinion::Silent(_) => None,
    });
    let mut ranked: Vec<(View, usize)> = Vec::new();
    for view in views {
        match ranked.iter_mut().find(|(known, _)| known.is_same_server(view)) {
            Some((known, votes)) => {
                known.epoch = known.epoch.max(view.epoch);
                *votes += 1;
            }
            None => ranked.push((view.clone(), 1)),
        }
    }
    ranked.sort_by_key(|(view, votes)| std::cmp::Reverse((view.epoch, *votes)));
    ranked.into_iter().map(|(view, _)| view).collect()
}

fn silence(hosts: &[String], opinions: &[Opinion]) -> String {
    let reasons = hosts.iter().zip(opinions).map(|(host, opinion)| match opinion {
        Opinion::Silent(why) => format!("{host}: {why}"),
        Opinion::Unknown | Opinion::View(_) => format!("{host}: no answer yet"),
    });
    reasons.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(host: &str, epoch: u64) -> View {
        View { host: host.to_owned(), port: 6379, epoch }
    }

    #[test]
    fn one_sentinel_that_knows_of_a_later_fail_over_is_believed_over_two_that_do_not() {
        let opinions = [view("a", 3), view("b", 4), view("a", 3)].map(Opinion::View);
        assert_eq!(ranked(&opinions), [view("b", 4), view("a", 3)]);
    }

    #[test]
    fn of_the_same_epoch_the_majority_is_believed() {
        let opinions = [view("a", 4), view("b", 4), view("b", 2)].map(Opinion::View);
        assert_eq!(ranked(&opinions), [view("b", 4), view("a", 4)]);
    }

    #[test]
    fn silence_names_nobody() {
        let opinions = [Opinion::Unknown, Opinion::Silent("connection refused".to_owned())];
        assert_eq!(ranked(&opinions), []);
        let hosts = ["r-0:26379".to_owned(), "r-1:26379".to_owned()];
        assert_eq!(silence(&hosts, &opinions), "r-0:26379: no answer yet; r-1:26379: connection refused");
    }
}
