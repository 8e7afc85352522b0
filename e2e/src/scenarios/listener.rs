//! A `kubectl` that listens on a port of this machine for as long as it runs.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cluster::Cluster;

/// How long kubectl may take until the port is open.
const OPEN_WITHIN: Duration = Duration::from_secs(15);

/// The process; it ends with this.
pub(crate) struct Listener {
    process: Child,
    /// The port on this side.
    pub(crate) port: u16,
}

impl Listener {
    /// Starts `kubectl` with these arguments; `port_of` finds the port in one of the lines that it prints.
    pub(crate) fn start(cluster: &Cluster, arguments: &[&str], port_of: fn(&str) -> Option<u16>) -> Result<Self> {
        let mut said = tempfile::tempfile()?;
        let mut process = Command::new(cluster.kubectl_program())
            .env("KUBECONFIG", cluster.kubeconfig())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot start kubectl {}", arguments.join(" ")))?;
        let output = process.stdout.take().context("kubectl has no standard output")?;
        let (sender, opened) = channel();
        // It tells of every connection, so that somebody has to go on reading.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(port) = port_of(&line) {
                    // Only the first one is waited for.
                    let _ = sender.send(port);
                }
            }
        });
        let mut listener = Self { process, port: 0 };
        let Ok(port) = opened.recv_timeout(OPEN_WITHIN) else {
            let mut why = String::new();
            said.rewind()?;
            said.read_to_string(&mut why)?;
            bail!("kubectl {} opens no port: {}", arguments.join(" "), why.trim());
        };
        listener.port = port;
        Ok(listener)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
