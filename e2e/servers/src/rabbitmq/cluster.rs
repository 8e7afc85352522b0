//! Several nodes of one `RabbitMQ` broker on 127.0.0.1.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::management::Management;
use super::{USER, configure, entrance, install, ready, start_mapper, uri};
use crate::instance::Instance;
use crate::names;
use crate::ports::Port;

const COMPLETE_LIMIT: Duration = Duration::from_mins(1);

/// A `RabbitMQ` broker of several nodes, each of which can be stopped, killed, emptied and started by itself. Nodes are numbered from 0.
pub struct RabbitMqCluster {
    nodes: Vec<Node>,
    entrance: String,
    etc: Option<PathBuf>,
    system: PathBuf,
    mapper_port: Port,
    _mapper: Instance,
}

/// Where a quorum queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueNodes {
    /// The node of its leader.
    pub leader: usize,
    /// Nodes with a member.
    pub members: BTreeSet<usize>,
    /// Nodes whose member runs.
    pub online: BTreeSet<usize>,
}

struct Node {
    name: String,
    instance: Instance,
    management: Management,
    distribution: u16,
    _ports: [Port; 3],
}

impl RabbitMqCluster {
    /// A broker of `size` nodes that have joined each other.
    pub fn start(size: usize) -> Result<Self> {
        let mut cluster = Self::prepared(size, None, "cluster_partition_handling = pause_minority\n")?;
        // Whoever sees nobody else begins a cluster of its own: so one begins, and the others come to it.
        cluster.nodes[0].start(1)?;
        let first = format!(
            "cluster_formation.classic_config.nodes.1 = {}\ncluster_formation.discovery_retry_limit = 1000\n",
            cluster.nodes[0].name
        );
        for node in &cluster.nodes[1..] {
            let file = node.instance.folder().join("rabbitmq.conf");
            let configuration = fs::read_to_string(&file)?;
            fs::write(&file, format!("{configuration}{first}"))?;
        }
        cluster.start_nodes(1..size)?;
        Ok(cluster)
    }

    /// `size` nodes, none of which runs yet, that are started by the script `start.sh` among `files`; `settings` are more lines of their
    /// configuration. The scripts find the names of the nodes in a file `nodes` beside them: see [`Self::announce`].
    pub fn with_scripts(size: usize, files: &[(&str, &str)], settings: &str) -> Result<Self> {
        let etc = crate::guardian::folder()?.join(names::fresh("etc"));
        fs::create_dir(&etc)?;
        for (name, text) in files {
            fs::write(etc.join(name), text)?;
        }
        let cluster = Self::prepared(size, Some(etc), settings)?;
        cluster.announce(size)?;
        Ok(cluster)
    }

    fn prepared(size: usize, etc: Option<PathBuf>, settings: &str) -> Result<Self> {
        let system = install::rabbitmq()?;
        let mapper_port = Port::reserve()?;
        let mapper = start_mapper(&system, &mapper_port)?;
        let cookie = names::fresh("cookie");
        let mut nodes = Vec::new();
        let mut addresses = Vec::new();
        for number in 0..size {
            let ports = [Port::reserve()?, Port::reserve()?, Port::reserve()?];
            let [amqp, management, distribution] = &ports;
            let name = format!("rabbit-{number}@127.0.0.1");
            let api = Management::new(format!("http://{}", management.address()));
            let launch = install::member(&system, &mapper_port, distribution, &name, etc.as_deref());
            let instance = Instance::new("rabbitmq-server", launch, ready(&api, vec![amqp.address()]))?;
            configure(instance.folder(), amqp, management, settings)?;
            share_cookie(instance.folder(), &cookie)?;
            addresses.push(amqp.address());
            let distribution = distribution.number();
            nodes.push(Node { name, instance, management: api, distribution, _ports: ports });
        }
        let entrance = entrance::open(addresses)?;
        Ok(Self { nodes, entrance, etc, system, mapper_port, _mapper: mapper })
    }

    /// Tells the scripts of the first `size` nodes alone; nodes that run already read it at their next start.
    pub fn announce(&self, size: usize) -> Result<()> {
        let Some(etc) = &self.etc else { bail!("only nodes that scripts start are announced") };
        let names = self.nodes[..size].iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join("\n") + "\n";
        Ok(fs::write(etc.join("nodes"), names)?)
    }

    /// Starts nodes side by side, and waits until all take connections. One that scripts start is started again when it ends, as a pod's
    /// container is: nodes that boot at the same moment may stumble over each other.
    pub fn start_nodes(&mut self, nodes: impl IntoIterator<Item = usize>) -> Result<()> {
        let wanted: Vec<usize> = nodes.into_iter().collect();
        let attempts = if self.etc.is_some() { 5 } else { 1 };
        let of = |(number, node)| wanted.contains(&number).then_some(node);
        thread::scope(|threads| {
            let starting: Vec<_> = self.nodes.iter_mut().enumerate().filter_map(of).collect();
            let starting: Vec<_> =
                starting.into_iter().map(|node: &mut Node| threads.spawn(move || node.start(attempts))).collect();
            starting.into_iter().try_for_each(|start| start.join().map_err(|_| anyhow!("a start panicked"))?)
        })
    }

    /// Starts a node, and waits for nothing.
    pub fn begin(&mut self, node: usize) -> Result<()> {
        self.nodes[node].instance.begin()
    }

    /// Waits until a node that was begun takes connections.
    pub fn await_ready(&mut self, node: usize) -> Result<()> {
        self.nodes[node].await_ready()
    }

    /// Ends a node in order (SIGTERM), and waits until it has ended.
    pub fn stop(&mut self, node: usize) -> Result<()> {
        self.nodes[node].instance.stop()
    }

    /// Ends a node as a crash would (SIGKILL).
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].instance.kill();
    }

    /// Takes away all data of a node that does not run.
    pub fn lose_volume(&mut self, node: usize) -> Result<()> {
        Ok(fs::remove_dir_all(self.nodes[node].instance.folder().join("data"))?)
    }

    /// A command that runs one of the scripts as a node's container would.
    pub fn script(&self, node: usize, file: &str) -> Result<Command> {
        let Some(etc) = &self.etc else { bail!("these nodes have no scripts") };
        let Node { name, instance, distribution, .. } = &self.nodes[node];
        let mut command =
            install::beside(&self.system, "usr/lib/erlang/bin/escript", &self.mapper_port, name, instance.folder());
        command.env("RABBITMQ_DIST_PORT", distribution.to_string()).arg(etc.join(file));
        Ok(command)
    }

    /// Name of a node.
    #[must_use]
    pub fn name(&self, node: usize) -> &str {
        &self.nodes[node].name
    }

    /// Everything that a node has said so far.
    #[must_use]
    pub fn log(&self, node: usize) -> String {
        self.nodes[node].log()
    }

    /// The nodes of a quorum queue, as `asked` sees them: who leads it, who has a member of it, and whose member runs.
    pub fn queue(&self, asked: usize, virtual_host: &str, name: &str) -> Result<QueueNodes> {
        // The whole list: a broker that keeps no statistics fails to tell of one queue.
        let queues = self.nodes[asked].management.read(&format!("/api/queues/{virtual_host}"))?;
        let queue = queues.as_array().into_iter().flatten().find(|queue| queue["name"] == name);
        let queue = queue.with_context(|| format!("there is no queue {name}"))?;
        let numbers =
            |nodes: &Value| nodes.as_array().into_iter().flatten().filter_map(|node| self.number(node)).collect();
        Ok(QueueNodes {
            leader: self.number(&queue["leader"]).context("it has no leader")?,
            members: numbers(&queue["members"]),
            online: numbers(&queue["online"]),
        })
    }

    /// The nodes that clients are connected to, as `asked` sees them.
    pub fn connected(&self, asked: usize) -> Result<BTreeSet<usize>> {
        let connections = self.nodes[asked].management.read("/api/connections")?;
        let nodes = connections.as_array().into_iter().flatten().map(|connection| &connection["node"]);
        Ok(nodes.filter_map(|node| self.number(node)).collect())
    }

    fn number(&self, node: &Value) -> Option<usize> {
        self.nodes.iter().position(|known| node.as_str() == Some(&known.name))
    }

    /// Base URL of a node's management API (`/api/...`), without credentials.
    #[must_use]
    pub fn management_url(&self, node: usize) -> String {
        self.nodes[node].management.url().to_owned()
    }

    /// AMQP URI of a new virtual host in which the administrator may do everything, made through `node`. The address leads to any node
    /// that takes connections.
    ///
    /// # Panics
    /// When the broker refuses to make one.
    #[must_use]
    pub fn virtual_host(&self, node: usize) -> String {
        let name = names::fresh("test");
        match self.nodes[node].management.create_virtual_host(&name, USER) {
            Ok(()) => self.uri_of(&name),
            Err(error) => panic!("RabbitMQ made no virtual host: {error:#}"),
        }
    }

    /// AMQP URI of an existing virtual host, as the administrator, at any node.
    #[must_use]
    pub fn uri_of(&self, virtual_host: &str) -> String {
        uri(&self.entrance, virtual_host)
    }

    /// `host:port` that leads to any node that takes connections.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.entrance
    }

    /// Name of the administrator.
    #[must_use]
    pub fn user(&self) -> &'static str {
        USER
    }

    /// Password of the administrator.
    #[must_use]
    pub fn password(&self) -> &'static str {
        super::PASSWORD
    }
}

impl Node {
    fn start(&mut self, attempts: usize) -> Result<()> {
        for attempt in 1..=attempts {
            self.instance.begin()?;
            match self.await_ready() {
                Err(_) if attempt < attempts => self.instance.kill(),
                outcome => return outcome,
            }
        }
        Ok(())
    }

    /// A node takes connections a moment before it is one of the broker's. A virtual host that is made in that moment is never started
    /// on it.
    fn await_ready(&mut self) -> Result<()> {
        self.instance.await_ready()?;
        let deadline = Instant::now() + COMPLETE_LIMIT;
        loop {
            let log = self.log();
            if log.rfind("Starting RabbitMQ ") < log.rfind("Server startup complete") {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} does not complete its start:\n{log}", self.name);
            }
            thread::sleep(Duration::from_millis(25));
        }
    }

    fn log(&self) -> String {
        let log = fs::read(self.instance.folder().join("rabbitmq-server.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

/// Nodes believe each other by a secret that Erlang wants to be readable by its owner alone.
fn share_cookie(home: &Path, cookie: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(home.join(".erlang.cookie"))?;
    Ok(file.write_all(cookie.as_bytes())?)
}
