//! A kind cluster: one control plane, two workers, a default `StorageClass`, DNS and metrics.

mod config;
mod owner;
mod ports;
mod routes;
mod temporary;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cache::Cache;
use crate::command::Run;
use crate::docker::Docker;
use crate::engine::Engine;
use crate::interrupt;
use crate::progress::{Log, Progress};
use crate::source;

pub use config::EDGE_NODE_PORT;
pub use owner::Owner;
pub use ports::{DEFAULT_EDGE_PORT, Ports, holder_of};
pub use temporary::{Choice, Temporary};

/// The cluster of `cargo e2e up`.
pub const DEFAULT_NAME: &str = "chatplatform";

/// How long nodes may take to be Ready before the cluster counts as broken.
const READY_LIMIT: Duration = Duration::from_mins(2);

/// A running cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    name: String,
    folder: PathBuf,
    record: Record,
    engine: Engine,
    cache: Cache,
}

/// What is known of a cluster after its process has gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    edge_port: u16,
    /// Set once every node was Ready; a cluster without it is half made.
    complete: bool,
    /// The process that takes it down at its end; absent for a cluster that a person keeps.
    owner: Option<Owner>,
}

impl Cluster {
    /// Brings up the cluster `name`, whatever state it is in: absent, half made, stopped, or running.
    pub fn up(name: &str, ports: Ports, progress: &Progress) -> Result<Self> {
        Self::up_owned(name, ports, None, progress)
    }

    /// Like [`Cluster::up`], for a cluster that belongs to this process: once the process is gone, any later `cargo e2e` removes it.
    pub fn up_for_this_process(name: &str, ports: Ports, progress: &Progress) -> Result<Self> {
        Self::up_owned(name, ports, Some(Owner::this_process()), progress)
    }

    fn up_owned(name: &str, ports: Ports, owner: Option<Owner>, progress: &Progress) -> Result<Self> {
        let cache = Cache::open()?;
        let folder = cache.root().join("clusters").join(name);
        let _one_at_a_time = cache.lock(&format!("cluster-{name}"))?;
        let known = Record::read(&folder);
        // Written before anything is made, so that `down` finds what a killed `up` began, and so that another cluster's
        // `down` leaves the daemon running.
        let mut record =
            known.clone().unwrap_or(Record { edge_port: ports.edge, complete: false, owner: owner.clone() });
        record.owner = owner;
        if known.is_none() {
            check_port(&cache, ports)?;
        }
        record.write(&folder)?;
        let engine = {
            let _one_at_a_time = cache.lock("prepare")?;
            Engine::prepare(&cache, progress)?
        };
        let mut cluster = Self { name: name.to_owned(), folder, record, engine, cache };
        cluster.converge(ports, progress)?;
        Ok(cluster)
    }

    fn converge(&mut self, ports: Ports, progress: &Progress) -> Result<()> {
        if self.record.complete && self.is_known_to_kind()? {
            if self.record.edge_port != ports.edge {
                bail!(
                    "the cluster {} is running with port {}: use that, or run `cargo e2e down` first",
                    self.name,
                    self.record.edge_port
                );
            }
            if self.wake(progress).is_ok() {
                return Ok(());
            }
            interrupt::check()?;
            progress.say(format!("the cluster {} does not come back to life and is made anew", self.name));
        }
        self.record.complete = false;
        self.record.edge_port = ports.edge;
        self.record.write(&self.folder)?;
        self.create(progress)?;
        self.record.complete = true;
        self.record.write(&self.folder)
    }

    /// Opens the cluster `name` if it was brought up and its daemon answers.
    pub fn existing(name: &str) -> Result<Option<Self>> {
        let cache = Cache::open()?;
        let folder = cache.root().join("clusters").join(name);
        let Some(record) = Record::read(&folder).filter(|record| record.complete) else { return Ok(None) };
        let Some(engine) = Engine::of_running(&cache)? else { return Ok(None) };
        let cluster = Self { name: name.to_owned(), folder, record, engine, cache };
        Ok(cluster.is_known_to_kind()?.then_some(cluster))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tools it was made with.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The cache it lives in.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The kubeconfig for it alone.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The address at which this machine reaches a platform's edge.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.record.edge_port)
    }

    /// A `kubectl` command, not yet run.
    #[must_use]
    pub fn kubectl_command<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        Run::new(self.kubectl_program()).env("KUBECONFIG", self.kubeconfig()).args(arguments)
    }

    /// Runs `kubectl` and answers what it printed.
    pub fn kubectl<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        self.kubectl_command(arguments).output()
    }

    /// Runs `kubectl ... -o json` and answers the object.
    pub fn kubectl_json<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Value> {
        let text = self.kubectl_command(arguments).args(["--output", "json"]).output()?;
        serde_json::from_str(&text).context("kubectl did not answer JSON")
    }

    /// Applies a manifest, server-side.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.kubectl_command(["apply", "--server-side", "--force-conflicts", "--filename", "-"])
            .input(manifest)
            .output()
    }

    /// A `docker` command on the daemon that runs the nodes, not yet run.
    #[must_use]
    pub fn docker<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.engine.docker.run().args(arguments)
    }

    /// The nodes' names, which are their containers' too.
    pub fn nodes(&self) -> Result<Vec<String>> {
        let listed = self.engine.kind().args(["get", "nodes", "--name", &self.name]).output()?;
        let mut nodes: Vec<String> = listed.lines().map(str::to_owned).collect();
        nodes.sort();
        Ok(nodes)
    }

    /// Where `kubectl` lies: the one of the nodes' own release.
    #[must_use]
    pub fn kubectl_program(&self) -> PathBuf {
        self.folder.join("bin/kubectl")
    }

    /// Removes the cluster. The daemon goes with the last one.
    pub fn down(&self) -> Result<()> {
        remove(&self.cache, &self.name, Some(&self.engine))
    }

    fn is_known_to_kind(&self) -> Result<bool> {
        Ok(self.engine.kind().args(["get", "clusters", "--quiet"]).output()?.lines().any(|line| line == self.name))
    }

    fn create(&self, progress: &Progress) -> Result<()> {
        let cure = "Run `cargo e2e down` and try again. If it fails the same way, `docker logs` of the node named above tells more.";
        progress.step(&format!("create cluster {}", self.name), cure, |log| {
            self.delete(log)?;
            // kind leaves this behind when it is killed, and refuses to go on while it is there.
            remove_file(&self.folder.join("kubeconfig.lock"))?;
            let config = self.folder.join("kind.yaml");
            fs::write(&config, config::kind(&self.engine, self.record.edge_port))?;
            let mut run =
                self.engine.kind().args(["create", "cluster", "--name", &self.name, "--wait", "0s", "--config"]);
            run = run.arg(&config).arg("--kubeconfig").arg(self.kubeconfig());
            if let Some(offline) = &self.engine.offline {
                run = run.args(["--image", &offline.node_image]);
            }
            run.log(log).execute()?;
            self.take_kubectl(log)
        })?;
        progress.step("three nodes Ready", cure, |log| {
            self.wait_for_nodes()?;
            self.connect_nodes(log)?;
            self.apply(&metrics_manifest()?).map(drop)
        })
    }

    /// Gives a cluster that was stopped, by a reboot or with its daemon, what it lost.
    fn wake(&self, progress: &Progress) -> Result<()> {
        let nodes = self.nodes()?;
        let states = self.engine.docker.inspect(&nodes)?;
        let stopped: Vec<&String> = nodes
            .iter()
            .zip(&states)
            .filter(|(_, state)| state["State"]["Running"] != Value::Bool(true))
            .map(|(node, _)| node)
            .collect();
        if stopped.is_empty() && self.kubectl_program().exists() && self.all_nodes_ready() {
            return Ok(());
        }
        progress.step("wake the nodes", "The cluster will be made anew.", |log| {
            if !stopped.is_empty() {
                self.docker(["start"]).args(&stopped).log(log).execute()?;
            }
            self.take_kubectl(log)?;
            let deadline = Instant::now() + READY_LIMIT;
            while !self.kubectl_command(["get", "--raw", "/readyz"]).succeeds() {
                pause(deadline, "the API server does not answer")?;
            }
            self.wait_for_nodes()?;
            self.connect_nodes(log)
        })
    }

    fn connect_nodes(&self, log: &Log) -> Result<()> {
        if self.engine.offline.is_none() { Ok(()) } else { routes::set(self, log) }
    }

    fn wait_for_nodes(&self) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        while !self.all_nodes_ready() {
            if let Err(late) = pause(deadline, "not every node is Ready") {
                let nodes = self.kubectl(["describe", "nodes"]).unwrap_or_default();
                return Err(late.context(crate::progress::tail(&nodes, 40)));
            }
        }
        Ok(())
    }

    fn all_nodes_ready(&self) -> bool {
        let Ok(nodes) = self.kubectl_json(["get", "nodes"]) else { return false };
        let nodes = nodes["items"].as_array().map_or(&[][..], Vec::as_slice);
        nodes.len() == 3 && nodes.iter().all(is_ready)
    }

    /// The nodes hold the kubectl of their own release, and it is static.
    fn take_kubectl(&self, log: &Log) -> Result<()> {
        let program = self.kubectl_program();
        fs::create_dir_all(self.folder.join("bin"))?;
        let from = format!("{}-control-plane:/usr/bin/kubectl", self.name);
        self.docker(["cp", "--follow-link", &from]).arg(&program).log(log).execute()
    }

    fn delete(&self, log: &Log) -> Result<()> {
        self.engine
            .kind()
            .args(["delete", "cluster", "--name", &self.name, "--kubeconfig"])
            .arg(self.kubeconfig())
            .log(log)
            .execute()
    }
}

impl Record {
    fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join("cluster.json")).ok()?).ok()
    }

    fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let fresh = folder.join("cluster.json.new");
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", fresh.display()))?;
        fs::rename(&fresh, folder.join("cluster.json")).context("cannot write the cluster's record")
    }
}

fn check_port(cache: &Cache, ports: Ports) -> Result<()> {
    let other = names(cache).into_iter().find(|name| {
        Record::read(&cache.root().join("clusters").join(name)).is_some_and(|other| other.edge_port == ports.edge)
    });
    match other {
        Some(name) => bail!("port {} leads to the cluster {name}: choose another with `--port PORT`", ports.edge),
        None => ports.check(),
    }
}

/// Every cluster of this cache, half made ones too.
#[must_use]
pub fn names(cache: &Cache) -> Vec<String> {
    let Ok(entries) = fs::read_dir(cache.root().join("clusters")) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("cluster.json").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Removes clusters whose process ended without doing so.
pub fn remove_abandoned(cache: &Cache) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for name in names(cache) {
        let record = Record::read(&cache.root().join("clusters").join(&name));
        if record.and_then(|record| record.owner).is_some_and(|owner| !owner.lives()) {
            remove(cache, &name, None)?;
            removed.push(name);
        }
    }
    Ok(removed)
}

/// Removes the cluster `name`, in whatever state, and the daemon with the last one. Goes on after an interrupt.
pub fn remove(cache: &Cache, name: &str, engine: Option<&Engine>) -> Result<()> {
    let _one_at_a_time = cache.lock(&format!("cluster-{name}"))?;
    let engine = match engine {
        Some(engine) => Some(engine.clone()),
        None => Engine::of_running(cache)?,
    };
    let folder = cache.root().join("clusters").join(name);
    if let Some(engine) = &engine {
        delete_nodes(&engine.docker, name)?;
    }
    if let Err(error) = fs::remove_dir_all(&folder)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
    }
    let _nobody_prepares = cache.lock("prepare")?;
    if names(cache).is_empty() {
        if engine.as_ref().is_some_and(|engine| engine.offline.is_none()) {
            // On a machine's own daemon other kind clusters may share the network; Docker refuses then, which is right.
            if let Some(engine) = &engine {
                engine.docker.run().args(["network", "rm", "kind"]).shielded().attempt();
            }
        }
        crate::offline::daemon::Daemon::new(cache).stop()?;
    }
    Ok(())
}

/// What `kind delete cluster` does, without needing kind: nodes carry the cluster's name as a label.
fn delete_nodes(docker: &Docker, name: &str) -> Result<()> {
    let label = format!("label=io.x-k8s.kind.cluster={name}");
    let listed = docker.run().args(["ps", "--all", "--quiet", "--filter", &label]).shielded().output()?;
    let nodes: Vec<&str> = listed.lines().collect();
    if nodes.is_empty() {
        return Ok(());
    }
    docker.run().args(["rm", "--force", "--volumes"]).args(nodes).shielded().execute()
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn metrics_manifest() -> Result<String> {
    let path = source::root()?.join("e2e/manifests/metrics-server.yaml");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn pause(deadline: Instant, otherwise: &str) -> Result<()> {
    interrupt::check()?;
    if Instant::now() > deadline {
        return Err(anyhow!("{otherwise} after {} s", READY_LIMIT.as_secs()));
    }
    thread::sleep(Duration::from_millis(250));
    Ok(())
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
