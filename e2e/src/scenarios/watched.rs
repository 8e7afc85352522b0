//! What is watched all the while, so that nothing of it is missed, however short it is there: a value of an object, or what a program says.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};

use super::site::Site;
use super::wait::until;

/// How long it may take until the value that is there has been heard.
const HEARD_WITHIN: Duration = Duration::from_secs(15);

/// A `kubectl` that goes on saying something, for as long as this lives.
pub(crate) struct Watched {
    process: Child,
    heard: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Watched {
    /// Watches a value of an object, and waits for what it is now; `object` is such as `deployment acme-web`.
    pub(crate) fn begin(site: &Site, object: &[&str], path: &str) -> Result<Self> {
        let output = format!("--output=jsonpath={path}{{\"\\n\"}}");
        Self::listen(site, &[&["get"], object, &["--watch", &output]].concat())
    }

    /// Listens to what such a command goes on saying, and waits for its first line.
    pub(crate) fn listen(site: &Site, command: &[&str]) -> Result<Self> {
        let mut process = Command::new(site.cluster.kubectl_program())
            .env("KUBECONFIG", site.cluster.kubeconfig())
            .args(["--namespace", &site.namespace])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start kubectl {}", command.join(" ")))?;
        let lines = process.stdout.take().context("kubectl has no standard output")?;
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let kept = heard.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let watched = Self { process, heard, reader: Some(reader) };
        until("the watch has begun", HEARD_WITHIN, || watched.last())?;
        Ok(watched)
    }

    /// The value that was heard last.
    pub(crate) fn last(&self) -> Result<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.last().cloned().context("nothing was heard")
    }

    /// Every value since the beginning, in order. The watch must have lasted until now.
    pub(crate) fn end(mut self) -> Result<Vec<String>> {
        ensure!(self.process.try_wait()?.is_none(), "the watch has ended before");
        self.process.kill()?;
        if let Some(reader) = self.reader.take() {
            reader.join().map_err(|_| anyhow!("the reader of the watch panicked"))?;
        }
        Ok(self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
