//! Redis: one connection that many tasks share and that finds the master again by itself.
//!
//! A task of its own keeps the connection: it looks for the master (see [`route`]), connects, and starts over when the connection
//! turns out to be broken or to lead to a server that is master no more. Commands never wait for longer than that takes at its
//! best: while there is no master they fail at once, with the reason.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::ConnectionLike;
use ::redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use contract::keys::KeyUse;

use super::ConnectError;
use super::credential::{Generations, Source};
use crate::config;

mod keeper;
mod route;
mod sentinels;
mod subscription;

pub use subscription::{Heard, Subscription};

use keeper::{By, Link, State};
use route::Route;

/// How long a command waits for a connection that is being made. One that takes longer is no better than none.
const CONNECTING_PATIENCE: Duration = Duration::from_secs(1);

/// A connection to the master. Clones share it; dropping the last one closes it.
#[derive(Clone)]
pub struct Redis {
    state: watch::Receiver<State>,
    reports: Arc<Reports>,
    source: Source,
}

/// What users of a connection tell its keeper.
struct Reports {
    /// The youngest connection that has been found broken, by number.
    lost: watch::Sender<u64>,
    /// Something was answered that a master would not answer, or not for long.
    doubt: Notify,
    /// Which connections are used, by the generation of their credential.
    generations: Generations,
}

impl Reports {
    /// A connection by this way begins to be used.
    fn by(&self, route: &Route) -> Arc<By> {
        let credential = route.credential();
        Arc::new(By::new(credential.clone(), self.generations.begin(credential)))
    }
}

/// What an answer says about the connection that it came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// The server should be asked whether it is still the master.
    Doubtful,
    /// Nothing good will come of it any more.
    Lost,
}

impl Redis {
    /// A connection to where the settings' URL file says. Once it says otherwise and the server takes that, another connection takes the
    /// place of the one before, without a gap. Returns before there is one. Must be called within a tokio runtime.
    pub(super) fn new(settings: &config::Redis) -> Result<Self, ConnectError> {
        let route = Route::load(settings)?;
        let (sender, state) = watch::channel(State::Connecting);
        let generations = Generations::default();
        let reports = Arc::new(Reports { lost: watch::Sender::new(0), doubt: Notify::new(), generations });
        let source = route.source().clone();
        tokio::spawn(keeper::keep(route, sender, Arc::clone(&reports)));
        Ok(Self { state, reports, source })
    }

    /// Which generations of its credential this process goes by, for [`crate::keys::KeyRings::with`].
    #[must_use]
    pub fn credentials_in_use(&self) -> KeyUse {
        self.reports.generations.in_use(&self.source)
    }

    /// Listens on channels from now on, wherever the master goes.
    #[must_use]
    pub fn subscribe(&self, channels: &[&str]) -> Subscription {
        Subscription::new(self.state.clone(), channels)
    }

    /// Whether replicas stand by the server that commands go to now. Then a write that matters may ask, by `WAIT` in the same
    /// pipeline, whether one of them has it: until it has, a fail-over would lose the write.
    #[must_use]
    pub fn is_replicated(&self) -> bool {
        self.state.borrow().known().and_then(Result::ok).is_some_and(|link| link.way.is_to_one_of_several())
    }

    async fn link(&self) -> RedisResult<Link> {
        if let Some(known) = self.state.borrow().known() {
            return known;
        }
        let mut state = self.state.clone();
        let waited = timeout(CONNECTING_PATIENCE, state.wait_for(|state| state.known().is_some())).await;
        match waited {
            Ok(Ok(state)) => state.known().unwrap_or_else(|| Err(not_connected())),
            // The keeper ends only with the last of these connections, or with the runtime.
            Ok(Err(_)) | Err(_) => Err(not_connected()),
        }
    }

    fn report(&self, link: &Link, verdict: Verdict) {
        match verdict {
            Verdict::Fine => {}
            Verdict::Doubtful => self.reports.doubt.notify_one(),
            Verdict::Lost => {
                self.reports.lost.send_if_modified(|lost| {
                    let newer = *lost < link.number;
                    *lost = (*lost).max(link.number);
                    newer
                });
            }
        }
    }
}

impl ConnectionLike for Redis {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut link = self.link().await?;
            let answer = link.connection.send_packed_command(command).await;
            self.report(&link, answer.as_ref().map_or_else(verdict_of, verdict_of_value));
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let mut link = self.link().await?;
            let answers = link.connection.send_packed_commands(pipeline, offset, count).await;
            self.report(&link, answers.as_ref().map_or_else(verdict_of, |answers| verdict_of_all(answers)));
            answers
        })
    }

    fn get_db(&self) -> i64 {
        self.state.borrow().known().and_then(Result::ok).map_or(0, |link| link.connection.get_db())
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

fn not_connected() -> RedisError {
    std::io::Error::new(std::io::ErrorKind::NotConnected, "Redis does not take the connection in time").into()
}

fn verdict_of(error: &RedisError) -> Verdict {
    match error.kind() {
        // A command that is not answered in time is among these: the server may be gone without a word.
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed => Verdict::Lost,
        ErrorKind::Server(kind) => verdict_of_kind(kind),
        _ => verdict_of_code(error.code().unwrap_or_default()),
    }
}

fn verdict_of_kind(kind: ServerErrorKind) -> Verdict {
    match kind {
        // Said by replicas alone.
        ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown => Verdict::Lost,
        // A transaction that writes is aborted on a replica.
        ServerErrorKind::ExecAbort => Verdict::Doubtful,
        _ => Verdict::Fine,
    }
}

fn verdict_of_code(code: &str) -> Verdict {
    // A master without replicas: they may have been given another.
    if code == "NOREPLICAS" { Verdict::Doubtful } else { Verdict::Fine }
}

fn verdict_of_value(value: &Value) -> Verdict {
    match value {
        Value::ServerError(error) => error.kind().map_or_else(|| verdict_of_code(error.code()), verdict_of_kind),
        // The answer of a transaction holds those of its commands.
        Value::Array(values) => verdict_of_all(values),
        _ => Verdict::Fine,
    }
}

fn verdict_of_all(values: &[Value]) -> Verdict {
    let verdicts = values.iter().map(|value| match value {
        Value::ServerError(_) | Value::Array(_) => verdict_of_value(value),
        _ => Verdict::Fine,
    });
    verdicts.max_by_key(|verdict| *verdict as u8).unwrap_or(Verdict::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> Value {
        ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap_or(Value::Nil)
    }

    #[test]
    fn a_replica_is_left_and_a_master_without_replicas_is_doubted() {
        assert_eq!(verdict_of_value(&refusal("READONLY You can't write against a read only replica.")), Verdict::Lost);
        assert_eq!(verdict_of_value(&refusal("MASTERDOWN Link with MASTER is down")), Verdict::Lost);
        assert_eq!(verdict_of_value(&refusal("NOREPLICAS Not enough good replicas to write.")), Verdict::Doubtful);
        assert_eq!(verdict_of_value(&refusal("EXECABORT Transaction discarded")), Verdict::Doubtful);
        assert_eq!(verdict_of_value(&refusal("NOPERM this user has no permissions")), Verdict::Fine);
        assert_eq!(verdict_of_value(&refusal("NOSCRIPT No matching script")), Verdict::Fine);
    }

    #[test]
    fn the_worst_answer_of_a_pipeline_counts() {
        let answers = [
            Value::Okay,
            refusal("NOREPLICAS Not enough good replicas to write."),
            Value::Array(vec![Value::Int(1), refusal("READONLY You can't write")]),
        ];
        assert_eq!(verdict_of_all(&answers), Verdict::Lost);
        assert_eq!(verdict_of_all(&answers[..2]), Verdict::Doubtful);
        assert_eq!(verdict_of_all(&answers[..1]), Verdict::Fine);
        assert_eq!(verdict_of_all(&[]), Verdict::Fine);
    }

    #[test]
    fn silence_and_a_broken_connection_end_it() {
        let io = |kind| RedisError::from(std::io::Error::from(kind));
        assert_eq!(verdict_of(&io(std::io::ErrorKind::TimedOut)), Verdict::Lost);
        assert_eq!(verdict_of(&io(std::io::ErrorKind::ConnectionReset)), Verdict::Lost);
    }
}
