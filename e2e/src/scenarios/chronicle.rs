//! Everything that a platform's status says while something happens, as `kubectl get --watch` shows it to a person.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Deserializer, Value};

use super::site::Site;
use super::wait::until;

/// How long a fault may last before the status tells of it.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// A watch, for as long as this lives.
pub(crate) struct Chronicle {
    watch: Child,
    entries: Arc<Mutex<Vec<Value>>>,
}

impl Chronicle {
    /// Begins with what the status says now.
    pub(crate) fn open(site: &Site) -> Result<Self> {
        let mut watch = Command::new(site.cluster.kubectl_program())
            .env("KUBECONFIG", site.cluster.kubeconfig())
            .args(["get", "chatplatform", &site.platform, "--namespace", &site.namespace])
            .args(["--watch", "--output=json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start kubectl get --watch")?;
        let output = watch.stdout.take().context("kubectl has no standard output")?;
        let entries = Arc::<Mutex<Vec<Value>>>::default();
        let kept = Arc::clone(&entries);
        thread::spawn(move || {
            let objects = Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>();
            for object in objects.map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(object);
            }
        });
        let chronicle = Self { watch, entries };
        until("the first look at the status", TOLD_WITHIN, || {
            ensure!(!chronicle.read(<[Value]>::is_empty), "there is none yet");
            Ok(())
        })?;
        Ok(chronicle)
    }

    /// Waits until, since it was opened, a condition was False with a message that holds all of `words`.
    pub(crate) fn tells(&self, condition: &str, words: &[&str]) -> Result<()> {
        self.tells_without(condition, words, &[])
    }

    /// The same for a message that holds none of `others`, which would be wrong while it lasts.
    pub(crate) fn tells_without(&self, condition: &str, words: &[&str], others: &[&str]) -> Result<()> {
        until(&format!("{condition} is False and says {words:?} without {others:?}"), TOLD_WITHIN, || {
            self.read(|entries| {
                if entries.iter().any(|entry| complains(entry, condition, words, others)) {
                    return Ok(());
                }
                bail!("it said: {}", said(entries, condition).join(" | "))
            })
        })
    }

    fn read<T>(&self, look: impl FnOnce(&[Value]) -> T) -> T {
        look(&self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Chronicle {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

fn complains(entry: &Value, condition: &str, words: &[&str], others: &[&str]) -> bool {
    find(entry, condition).is_some_and(|found| {
        let message = found["message"].as_str().unwrap_or_default();
        let holds = |word: &&str| message.contains(*word);
        found["status"] == "False" && words.iter().all(holds) && !others.iter().any(holds)
    })
}

fn find<'a>(entry: &'a Value, condition: &str) -> Option<&'a Value> {
    entry["status"]["conditions"].as_array()?.iter().find(|found| found["type"] == condition)
}

/// What a condition said one after the other, without repetitions.
fn said(entries: &[Value], condition: &str) -> Vec<String> {
    let mut said: Vec<String> = entries
        .iter()
        .filter_map(|entry| find(entry, condition))
        .map(|found| {
            format!(
                "{} {}",
                found["status"].as_str().unwrap_or_default(),
                found["message"].as_str().unwrap_or_default()
            )
        })
        .collect();
    said.dedup();
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(status: &str, message: &str) -> Value {
        json!({"status": {"conditions": [{"type": "MongoDBReady", "status": status, "message": message}]}})
    }

    #[test]
    fn a_complaint_is_a_condition_that_is_false_and_names_everything() {
        let entry = entry("False", "2 of 3 pods ready: acme-mongodb-0 PRIMARY, acme-mongodb-1 (not reachable/healthy)");
        assert!(complains(&entry, "MongoDBReady", &["acme-mongodb-1", "2 of 3"], &["acme-mongodb-1 SECONDARY"]));
        assert!(!complains(&entry, "MongoDBReady", &["acme-mongodb-2"], &[]));
        assert!(!complains(&entry, "MongoDBReady", &["acme-mongodb-0"], &["acme-mongodb-0 PRIMARY"]));
        assert!(!complains(&entry, "RedisReady", &["acme-mongodb-1"], &[]));
        assert!(!complains(&self::entry("True", "acme-mongodb-1 PRIMARY"), "MongoDBReady", &["acme-mongodb-1"], &[]));
    }

    #[test]
    fn what_was_said_is_told_without_repetitions() {
        let entries =
            [entry("True", "3 serve"), entry("True", "3 serve"), entry("False", "2 serve"), entry("True", "3 serve")];
        assert_eq!(said(&entries, "MongoDBReady"), ["True 3 serve", "False 2 serve", "True 3 serve"]);
    }
}
