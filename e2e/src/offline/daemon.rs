//! A Docker daemon of our own: own data, own socket, no bridge and no firewall rules on the machine.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cache::{Cache, Key};
use crate::docker::Docker;
use crate::machine::Machine;
use crate::offline::capability;
use crate::progress::Progress;
use crate::quirks::Quirks;

/// Debian's client: it fits Debian's daemon, whatever else is earlier on PATH.
const CLIENT: &str = "/usr/bin/docker";

/// The daemon that belongs to one cache.
#[derive(Clone, Debug)]
pub struct Daemon {
    data: PathBuf,
    run: PathBuf,
    cgroup: String,
    log: PathBuf,
    cache: Cache,
}

impl Daemon {
    /// Names it after the cache, so that two caches have two daemons.
    #[must_use]
    pub fn new(cache: &Cache) -> Self {
        let name = format!("chatplatform-{}", &Key::of("daemon").text(&cache.root().to_string_lossy()).finish()[..8]);
        Self {
            data: cache.root().join("docker"),
            run: Path::new("/run").join(&name),
            cgroup: name,
            log: cache.logs().join("dockerd.log"),
            cache: cache.clone(),
        }
    }

    /// The client of the running daemon; `None` when it does not run.
    #[must_use]
    pub fn running(&self) -> Option<Docker> {
        self.pid()?;
        let docker = self.client();
        docker.answers().then_some(docker)
    }

    /// Starts it unless it runs.
    pub fn start(&self, progress: &Progress, quirks: Quirks) -> Result<Docker> {
        self.machine().make_room()?;
        if let Some(docker) = self.running() {
            return Ok(docker);
        }
        progress.step("start the Docker daemon", "Run `cargo e2e down` to clear the way, then try again.", |_| {
            self.launch(quirks)
        })
    }

    /// Ends it and everything it made on the machine: processes, mounts, links, namespaces, cgroups. Data and images
    /// stay in the cache.
    pub fn stop(&self) -> Result<()> {
        if let Some(docker) = self.running() {
            docker.run().args(["network", "rm", "kind"]).shielded().attempt();
        }
        if let Some(pid) = self.pid() {
            kill(pid, Signal::SIGTERM).context("cannot end the Docker daemon")?;
            let deadline = Instant::now() + Duration::from_secs(30);
            while self.pid().is_some() {
                if Instant::now() > deadline {
                    kill(pid, Signal::SIGKILL).context("cannot kill the Docker daemon")?;
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        self.machine().clear()?;
        self.machine().restore()?;
        match fs::remove_dir_all(&self.run) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.run.display()))
            }
            _ => Ok(()),
        }
    }

    /// What the daemon can leave on the machine, for clearing and for looking.
    #[must_use]
    pub fn machine(&self) -> Machine {
        Machine::new(&self.cache, vec![self.data.clone(), self.run.clone()], self.cgroup.clone())
    }

    fn client(&self) -> Docker {
        Docker::of_our_own(CLIENT.into(), &self.socket())
    }

    fn socket(&self) -> PathBuf {
        self.run.join("docker.sock")
    }

    fn launch(&self, quirks: Quirks) -> Result<Docker> {
        // What a daemon that was killed left behind would keep this one from starting.
        self.machine().clear()?;
        for directory in [&self.data, &self.run] {
            fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        }
        let log = File::create(&self.log).with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut command = Command::new("/usr/sbin/dockerd");
        command
            .arg("--data-root")
            .arg(&self.data)
            .arg("--exec-root")
            .arg(self.run.join("exec"))
            .arg("--pidfile")
            .arg(self.pid_file())
            .args(["--host", &format!("unix://{}", self.socket().display())])
            .args(["--storage-driver", "overlay2"])
            // Published ports are served by docker-proxy on 127.0.0.1, nodes talk within their bridge, and builds use the
            // machine's network: nothing needs a default bridge, forwarding or a firewall rule, so nothing has to be put back.
            .args(["--bridge", "none", "--ip-forward=false", "--iptables=false", "--ip6tables=false"])
            // A cgroup of its own name tells what is left of it from anybody else's, without asking systemd for it.
            .args(["--cgroup-parent", &format!("/{}", self.cgroup), "--exec-opt", "native.cgroupdriver=cgroupfs"]);
        if quirks.no_sys_resource {
            let runtime = self.runtime_wrapper()?;
            command.args(["--add-runtime", &format!("wrapped={}", runtime.display()), "--default-runtime", "wrapped"]);
            command.arg("--oom-score-adjust=0");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C at the terminal is for the harness, not for the daemon.
            .process_group(0)
            .spawn()
            .context("cannot run /usr/sbin/dockerd")?;
        let docker = self.client();
        let deadline = Instant::now() + Duration::from_mins(1);
        while !docker.answers() {
            crate::interrupt::check()?;
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the Docker daemon does not come up\n{}", crate::progress::tail(&said, 15));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(docker)
    }

    /// This very binary under the wrapper's name, copied: the daemon outlives the build that started it, and a
    /// build in the middle of this run may already have replaced the file that it was started from.
    fn runtime_wrapper(&self) -> Result<PathBuf> {
        let place = self.cache.directory("bin")?.join(capability::NAME);
        let fresh = place.with_extension("new");
        fs::copy("/proc/self/exe", &fresh).context("cannot copy the harness")?;
        fs::rename(&fresh, &place).context("cannot place the runtime wrapper")?;
        Ok(place)
    }

    fn pid_file(&self) -> PathBuf {
        self.run.join("docker.pid")
    }

    /// The daemon's process, if it is really ours that runs under the number in the file.
    fn pid(&self) -> Option<Pid> {
        let pid: i32 = fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let ours = self.run.to_string_lossy().into_owned();
        (!is_zombie(pid) && String::from_utf8_lossy(&command).contains(&ours)).then(|| Pid::from_raw(pid))
    }
}

fn is_zombie(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit(')').next().map(|rest| rest.trim_start().starts_with('Z')))
        .unwrap_or(false)
}
