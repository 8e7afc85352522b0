//! A client of `MongoDB` that writes without a pause, to measure what a fail-over costs without the services in between.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use crate::scenarios::Stage;
use crate::scenarios::faults::{name_of, pods_of};
use crate::scenarios::forward::{Forward, Login};
use crate::scenarios::load::gaps;
use crate::scenarios::replica_set::{COMPONENT, PORT};
use crate::scenarios::wait::until;

/// How long it may take until writes go on.
const MORE_WITHIN: Duration = Duration::from_mins(1);

/// `MongoDB`'s driver in Node, each write acknowledged by a majority, for as long as this lives.
pub(super) struct MajorityWriter {
    client: Child,
    times: Arc<Mutex<Vec<Instant>>>,
    // Members are reached by way of these, each by an address of this machine.
    _members: Vec<Forward>,
}

impl MajorityWriter {
    /// Starts it and waits until it writes.
    pub(super) fn start(stage: &Stage) -> Result<Self> {
        let login = Login::mongodb(stage, "chat")?;
        let (mut members, mut addresses) = (Vec::new(), Map::new());
        for (number, pod) in pods_of(stage, COMPONENT)?.iter().enumerate() {
            let (pod, address) = (name_of(pod)?, format!("127.0.7.{}", number + 1));
            members.push(Forward::at(stage, &format!("pod/{pod}"), PORT, &address)?);
            addresses.insert(format!("{pod}.{}-{COMPONENT}.{}.svc", stage.platform, stage.namespace), address.into());
        }
        let mut client = Command::new("node")
            .arg("majority.mjs")
            .current_dir(stage.packages.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start Node")?;
        let mut input = client.stdin.take().context("Node has no standard input")?;
        let output = client.stdout.take().context("Node has no standard output")?;
        let times = Arc::<Mutex<Vec<Instant>>>::default();
        let kept = Arc::clone(&times);
        thread::spawn(move || {
            for _ in BufReader::new(output).lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            }
        });
        let writer = Self { client, times, _members: members };
        let order = json!({"uri": login.to_all()?, "database": "chat", "addresses": Value::Object(addresses)});
        // Its end tells the client that the order is complete.
        input.write_all(order.to_string().as_bytes()).context("the writer has ended")?;
        drop(input);
        writer.wait_for_more(20)?;
        Ok(writer)
    }

    /// Waits until so many more writes have been acknowledged.
    pub(super) fn wait_for_more(&self, count: usize) -> Result<()> {
        let before = self.times().len();
        until(&format!("{count} more writes"), MORE_WITHIN, || {
            let more = self.times().len() - before;
            ensure!(more >= count, "there are {more}");
            Ok(())
        })
    }

    /// From a fault to the next write that was acknowledged.
    pub(super) fn outage_since(&self, fault: Instant) -> Result<Duration> {
        gaps::outage_since(&self.times(), fault).context("nothing was written since")
    }

    fn times(&self) -> Vec<Instant> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MajorityWriter {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
