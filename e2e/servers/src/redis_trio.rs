//! Three Redis servers with a sentinel each, started by the scripts that the operator puts into their pods.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::instance::Instance;
use crate::ports::Port;
use crate::process::run;
use crate::redis;

/// The files of a pod's settings that are the same everywhere: the operator's own.
const FILES: [(&str, &str); 7] = [
    ("ask.sh", include_str!("../../../operator/src/build/redis/ask.sh")),
    ("start.sh", include_str!("../../../operator/src/build/redis/start.sh")),
    ("sentinel.sh", include_str!("../../../operator/src/build/redis/sentinel.sh")),
    ("stop.sh", include_str!("../../../operator/src/build/redis/stop.sh")),
    ("ready.sh", include_str!("../../../operator/src/build/redis/ready.sh")),
    ("alive.sh", include_str!("../../../operator/src/build/redis/alive.sh")),
    ("replicated.conf", include_str!("../../../operator/src/build/redis/replicated.conf")),
];
const SENTINEL_SETTINGS: &str = include_str!("../../../operator/src/build/redis/sentinel.conf");
const SERVER_SETTINGS: &str = "bind 127.0.0.1\nprotected-mode no\nappendonly yes\nsave \"\"\n";
const MASTER: &str = "chatplatform";
const MEMBERS: usize = 3;

/// What is secret about a trio: the files of the Secret that its pods mount.
#[derive(Clone, Debug)]
pub struct TrioSecrets {
    /// Users of the servers, one `user ...` a line.
    pub users_acl: String,
    /// Users of the sentinels.
    pub sentinel_acl: String,
    /// Password of user `replication`, by which replicas log in.
    pub replication_password: String,
    /// Password of user `sentinel`, by which sentinels log in.
    pub sentinel_password: String,
}

impl Default for TrioSecrets {
    /// One user for tests beside those that a trio needs for itself: `test`, with the rights of a service on all keys and channels,
    /// and the password `secret`.
    fn default() -> Self {
        Self {
            users_acl: "user default off\n\
                user test on >secret ~* &* +@all -@dangerous\n\
                user replication on >replication +psync +replconf +ping\n\
                user sentinel on >sentinel &* +@all\n"
                .to_owned(),
            sentinel_acl: "user default off\n\
                user test on >secret &+switch-master -@all +ping +subscribe +sentinel|get-master-addr-by-name +sentinel|master\n\
                user sentinel on >sentinel &* +@all\n"
                .to_owned(),
            replication_password: "replication".to_owned(),
            sentinel_password: "sentinel".to_owned(),
        }
    }
}

/// A running trio. Dropping it ends it.
pub struct RedisTrio {
    system: PathBuf,
    secrets: TrioSecrets,
    members: Vec<Member>,
}

struct Member {
    server: Instance,
    sentinel: Instance,
    port: Port,
    sentinel_port: Port,
    environment: Vec<(&'static str, String)>,
    /// Whether the server is started as the only one.
    single: Arc<AtomicBool>,
}

impl RedisTrio {
    /// Starts all three, and waits until two replicas and three sentinels stand by the first.
    pub fn start(secrets: TrioSecrets) -> Result<Self> {
        let mut trio = Self::prepare(secrets)?;
        for index in 0..MEMBERS {
            trio.start_member(index)?;
        }
        trio.wait_until_whole()?;
        Ok(trio)
    }

    /// Reserves everything and starts nothing.
    pub fn prepare(secrets: TrioSecrets) -> Result<Self> {
        let system = redis::system()?;
        let ports = (0..MEMBERS).map(|_| Ok((Port::reserve()?, Port::reserve()?))).collect::<Result<Vec<_>>>()?;
        let names: Vec<String> = ports
            .iter()
            .map(|(port, sentinel_port)| format!("127.0.0.1:{}:{}", port.number(), sentinel_port.number()))
            .collect();
        let mut members = Vec::new();
        for ((port, sentinel_port), name) in ports.into_iter().zip(&names) {
            members.push(Member::prepare(&system, &secrets, (port, sentinel_port), name, &names)?);
        }
        Ok(Self { system, secrets, members })
    }

    /// The URL by which a service of this user finds the master. Neither may hold characters that a URL must escape.
    #[must_use]
    pub fn url_for(&self, user: &str, password: &str) -> String {
        let sentinels: Vec<String> = (0..MEMBERS).map(|index| self.sentinel_address(index)).collect();
        format!("redis+sentinel://{user}:{password}@{}/{MASTER}/0", sentinels.join(","))
    }

    /// `host:port` of a server.
    #[must_use]
    pub fn address(&self, index: usize) -> String {
        self.members[index].port.address()
    }

    /// `host:port` of a sentinel.
    #[must_use]
    pub fn sentinel_address(&self, index: usize) -> String {
        self.members[index].sentinel_port.address()
    }

    /// Starts the server and the sentinel of a pod.
    pub fn start_member(&mut self, index: usize) -> Result<()> {
        self.start_sentinel(index)?;
        self.start_server(index)
    }

    /// Starts a server, which asks the sentinels what it is to be.
    pub fn start_server(&mut self, index: usize) -> Result<()> {
        self.members[index].server.start()
    }

    /// Starts a sentinel.
    pub fn start_sentinel(&mut self, index: usize) -> Result<()> {
        self.members[index].sentinel.start()
    }

    /// Kills a server as a crash would, and leaves its sentinel.
    pub fn kill_server(&mut self, index: usize) {
        self.members[index].server.kill();
    }

    /// Kills a sentinel as a crash would, and leaves its server.
    pub fn kill_sentinel(&mut self, index: usize) {
        self.members[index].sentinel.kill();
    }

    /// Starts the first server as the only one of a platform, on the data that it will have in the trio, too.
    pub fn start_single(&mut self) -> Result<()> {
        self.members[0].single.store(true, Ordering::Relaxed);
        self.members[0].server.start()
    }

    /// Stops it in order, to become one of three.
    pub fn stop_single(&mut self) -> Result<()> {
        self.members[0].single.store(false, Ordering::Relaxed);
        self.members[0].server.stop()
    }

    /// Kills the server and the sentinel of a pod.
    pub fn kill_member(&mut self, index: usize) {
        self.members[index].server.kill();
        self.members[index].sentinel.kill();
    }

    /// Stops a pod as Kubernetes does: its sentinel at once, its server after the script that is run before; answers what that said.
    pub fn stop_member(&mut self, index: usize) -> Result<String> {
        let member = &mut self.members[index];
        member.sentinel.stop()?;
        let said = member.script("stop.sh", &[])?.1;
        member.server.stop()?;
        Ok(said)
    }

    /// Stops the processes of a pod in the middle of whatever they do, as a network that is gone would: nothing is closed.
    pub fn freeze_member(&self, index: usize) -> Result<()> {
        let Member { server, sentinel, .. } = &self.members[index];
        signal(server, Signal::SIGSTOP)?;
        signal(sentinel, Signal::SIGSTOP)
    }

    /// Lets them go on.
    pub fn thaw_member(&self, index: usize) -> Result<()> {
        let Member { server, sentinel, .. } = &self.members[index];
        signal(server, Signal::SIGCONT)?;
        signal(sentinel, Signal::SIGCONT)
    }

    /// Stops a server in the middle of whatever it does, and leaves its sentinel.
    pub fn freeze_server(&self, index: usize) -> Result<()> {
        signal(&self.members[index].server, Signal::SIGSTOP)
    }

    /// Forgets everything that a pod had on its volume.
    pub fn lose_volume(&mut self, index: usize) -> Result<()> {
        let data = self.members[index].data();
        fs::remove_dir_all(&data)?;
        Ok(fs::create_dir(&data)?)
    }

    /// Whether the readiness probe of a server succeeds, and what it says.
    pub fn is_ready(&self, index: usize) -> Result<(bool, String)> {
        self.members[index].script("ready.sh", &[])
    }

    /// Whether the liveness probe of a server succeeds, and what it says.
    pub fn is_alive(&self, index: usize) -> Result<(bool, String)> {
        let member = &self.members[index];
        member.script("alive.sh", &[&member.port.number().to_string()])
    }

    /// The log of a server.
    pub fn log(&self, index: usize) -> Result<String> {
        Ok(fs::read_to_string(self.members[index].server.folder().join("redis-server.log"))?)
    }

    /// Which server a sentinel names as master.
    pub fn master_as_seen_by(&self, index: usize) -> Result<usize> {
        let answer = self.ask_sentinel(index, &["sentinel", "get-master-addr-by-name", MASTER])?;
        let address = answer.lines().collect::<Vec<_>>().join(":");
        let named = self.members.iter().position(|member| member.port.address() == address);
        named.with_context(|| format!("sentinel {index} names {address:?} as master"))
    }

    /// The answer of a server to user `sentinel`.
    pub fn ask(&self, index: usize, words: &[&str]) -> Result<String> {
        self.cli(&self.members[index].port, words)
    }

    /// The answer of a sentinel to user `sentinel`.
    pub fn ask_sentinel(&self, index: usize, words: &[&str]) -> Result<String> {
        self.cli(&self.members[index].sentinel_port, words)
    }

    /// Waits until all sentinels name the same master, it has two replicas that have everything, and everybody knows everybody;
    /// answers which it is.
    pub fn wait_until_whole(&self) -> Result<usize> {
        self.wait("whole", Duration::from_mins(1), || {
            let masters = (0..MEMBERS).map(|index| self.master_as_seen_by(index)).collect::<Result<Vec<_>>>()?;
            let master = masters[0];
            ensure!(masters.iter().all(|other| *other == master), "the sentinels name {masters:?}");
            for index in 0..MEMBERS {
                let details = self.ask_sentinel(index, &["sentinel", "master", MASTER])?;
                ensure!(details.contains("num-other-sentinels\n2\n"), "sentinel {index} does not know two others");
                ensure!(details.contains("num-slaves\n2\n"), "sentinel {index} does not know two replicas");
                let role = self.ask(index, &["role"])?;
                let wanted = if index == master { "master\n" } else { "slave\n" };
                ensure!(role.starts_with(wanted), "server {index} is {role:?}");
                ensure!(self.is_ready(index)?.0, "server {index} is not ready");
            }
            // A master takes writes only with a replica that is not behind.
            let replication = self.ask(master, &["info", "replication"])?;
            ensure!(replication.contains("connected_slaves:2"), "{replication}");
            ensure!(replication.contains("min_slaves_good_slaves:2"), "{replication}");
            Ok(master)
        })
    }

    /// Waits until sentinel `witness` names another master than `old`, and that takes its part; answers which it is.
    pub fn wait_until_replaced(&self, old: usize, witness: usize) -> Result<usize> {
        self.wait("replaced", Duration::from_secs(30), || {
            let master = self.master_as_seen_by(witness)?;
            ensure!(master != old, "{old} is still master");
            let role = self.ask(master, &["role"])?;
            ensure!(role.starts_with("master\n"), "server {master} is {role:?}");
            Ok(master)
        })
    }

    fn wait<T>(&self, what: &str, limit: Duration, check: impl Fn() -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            match check() {
                Ok(found) => return Ok(found),
                Err(reason) if Instant::now() > deadline => {
                    let logs = self.members.iter().map(Member::log_ends).collect::<Vec<_>>().join("\n");
                    bail!("the trio is not {what} after {limit:?}: {reason:#}\n{logs}")
                }
                Err(_) => sleep(Duration::from_millis(100)),
            }
        }
    }

    fn cli(&self, port: &Port, words: &[&str]) -> Result<String> {
        let number = port.number().to_string();
        let mut command = Command::new("timeout");
        command.args(["3", "redis-cli", "--user", "sentinel", "-p", &number]).args(words);
        command.env("REDISCLI_AUTH", &self.secrets.sentinel_password);
        redis::with_programs(&mut command, &self.system);
        Ok(String::from_utf8_lossy(&run(&mut command)?.stdout).replace('\r', ""))
    }
}

fn signal(instance: &Instance, signal: Signal) -> Result<()> {
    let id = instance.id().context("it does not run")?;
    Ok(killpg(Pid::from_raw(id.cast_signed()), signal)?)
}

impl Member {
    fn prepare(
        system: &Path,
        secrets: &TrioSecrets,
        (port, sentinel_port): (Port, Port),
        name: &str,
        names: &[String],
    ) -> Result<Self> {
        let (name, names) = (name.to_owned(), names.join(" "));
        let environment = move |folder: &Path| {
            vec![
                ("REDIS_MEMBERS", names.clone()),
                ("REDIS_SELF", name.clone()),
                ("REDIS_MASTER", MASTER.to_owned()),
                ("REDIS_SETTINGS", folder.join("settings").display().to_string()),
                ("REDIS_DATA", folder.join("data").display().to_string()),
            ]
        };
        // The server's folder is the pod's: the sentinel's own holds its log alone.
        let single = Arc::new(AtomicBool::new(false));
        let server = {
            let (system, address, single) = (system.to_owned(), port.address(), Arc::clone(&single));
            let (environment, number) = (environment.clone(), port.number().to_string());
            let start = move |folder: &Path| {
                let settings = folder.join("settings");
                let mut command = if single.load(Ordering::Relaxed) {
                    let mut command = Command::new("redis-server");
                    command.arg(settings.join("single.conf")).args(["--port", &number]);
                    command.arg("--dir").arg(folder.join("data")).arg("--aclfile").arg(settings.join("users.acl"));
                    command
                } else {
                    let mut command = Command::new("sh");
                    command.arg(settings.join("start.sh")).envs(environment(folder));
                    command
                };
                redis::with_programs(&mut command, &system);
                command
            };
            Instance::new("redis-server", start, move || redis::answers(&address))?
        };
        let folder = server.folder().to_owned();
        let environment = environment(&folder);
        let sentinel = {
            let (system, address, variables) = (system.to_owned(), sentinel_port.address(), environment.clone());
            let script = folder.join("settings/sentinel.sh");
            let start = move |_: &Path| {
                let mut command = Command::new("sh");
                command.arg(&script).envs(variables.clone());
                redis::with_programs(&mut command, &system);
                command
            };
            Instance::new("redis-sentinel", start, move || redis::answers(&address))?
        };
        let member = Self { server, sentinel, port, sentinel_port, environment, single };
        member.write_settings(secrets)?;
        Ok(member)
    }

    fn write_settings(&self, secrets: &TrioSecrets) -> Result<()> {
        let folder = self.server.folder().join("settings");
        fs::create_dir(&folder)?;
        fs::create_dir(self.data())?;
        let replicated = FILES.iter().find(|(name, _)| *name == "replicated.conf").map_or("", |(_, text)| text);
        let generated = [
            ("redis.conf", format!("{SERVER_SETTINGS}{replicated}")),
            ("single.conf", SERVER_SETTINGS.to_owned()),
            ("sentinel.conf", format!("bind 127.0.0.1\nprotected-mode no\n{SENTINEL_SETTINGS}")),
            ("users.acl", secrets.users_acl.clone()),
            ("sentinel.acl", secrets.sentinel_acl.clone()),
            ("replication-password", secrets.replication_password.clone()),
            ("sentinel-password", secrets.sentinel_password.clone()),
        ];
        for (name, text) in FILES.into_iter().map(|(name, text)| (name, text.to_owned())).chain(generated) {
            fs::write(folder.join(name), text)?;
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.server.folder().join("data")
    }

    /// Runs a script of the pod; answers whether it succeeded and what it printed.
    fn script(&self, name: &str, words: &[&str]) -> Result<(bool, String)> {
        let mut command = Command::new("sh");
        command.arg(self.server.folder().join("settings").join(name)).args(words);
        command.envs(self.environment.clone());
        redis::with_programs(&mut command, &redis::system()?);
        let output = command.output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).trim().to_owned()))
    }

    fn log_ends(&self) -> String {
        let end = |instance: &Instance, name: &str| {
            let log = fs::read_to_string(instance.folder().join(name)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(25)..].join("\n")
        };
        let (server, sentinel) = (end(&self.server, "redis-server.log"), end(&self.sentinel, "redis-sentinel.log"));
        format!("-- {}\n{server}\n-- its sentinel\n{sentinel}", self.port.address())
    }
}
