//! What our daemon and its containers can leave on the machine, cleared and then looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::command::Run;

/// The traces of one daemon.
#[derive(Clone, Debug)]
pub struct Machine {
    cache: Cache,
    folders: Vec<PathBuf>,
    cgroup: String,
}

/// How the machine was before the daemon first started.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// The boot it was written in: after a reboot all of it is void.
    boot: String,
    kernel: BTreeMap<String, String>,
    firewall: Vec<String>,
}

/// One thing that was looked for, and what was found of it.
#[derive(Debug)]
pub struct Check {
    /// For a person: `mounts`, `network links`, ...
    pub what: &'static str,
    /// What is left; empty is good.
    pub left: Vec<String>,
}

impl Machine {
    /// Traces under `folders` and in the cgroup `cgroup`.
    #[must_use]
    pub fn new(cache: &Cache, folders: Vec<PathBuf>, cgroup: String) -> Self {
        Self { cache: cache.clone(), folders, cgroup }
    }

    /// Writes down how the machine is, to compare with and to go back to at the end. What was written in this boot stays: a
    /// daemon that is started again finds the machine as an earlier one changed it.
    fn remember(&self) -> Result<()> {
        if self.before().is_some() {
            return Ok(());
        }
        fs::write(self.memory(), serde_json::to_vec_pretty(&Before::now())?).context("cannot write to the cache")
    }

    /// Sets what several clusters need of the kernel.
    pub fn make_room(&self) -> Result<()> {
        self.remember()?;
        let (setting, wanted) = INOTIFY_INSTANCES;
        if kernel_setting(setting).and_then(|now| now.parse::<u32>().ok()).is_some_and(|now| now < wanted) {
            fs::write(Path::new("/proc/sys").join(setting), wanted.to_string())
                .with_context(|| format!("cannot set {setting} to {wanted}"))?;
        }
        Ok(())
    }

    /// Sets the kernel's settings back.
    pub fn restore(&self) -> Result<()> {
        for (setting, value) in self.before().map(|before| before.kernel).unwrap_or_default() {
            if kernel_setting(&setting).is_some_and(|now| now != value) {
                fs::write(Path::new("/proc/sys").join(&setting), &value)
                    .with_context(|| format!("cannot set {setting} back to {value}"))?;
            }
        }
        Ok(())
    }

    /// Ends, unmounts and removes what is left of the daemon's containers after it has gone.
    pub fn clear(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let processes = self.processes();
            if processes.is_empty() || Instant::now() > deadline {
                break;
            }
            for (pid, _) in processes {
                // It may have ended in this moment, which is as good.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(50));
        }
        for mount in self.mounts().iter().rev() {
            Run::new("umount").args(["--lazy", mount]).shielded().attempt();
        }
        for link in self.links() {
            Run::new("ip").args(["link", "delete", &link]).shielded().attempt();
        }
        for cgroup in self.cgroups().iter().rev() {
            let _ = fs::remove_dir(cgroup);
        }
        Ok(())
    }

    /// Looks for everything that [`Machine::clear`] clears.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let before = self.before().unwrap_or_else(Before::now);
        let processes = self.processes().into_iter().map(|(pid, command)| format!("{pid} {command}")).collect();
        let namespaces = self.mounts().into_iter().filter(|mount| mount.contains("/netns/")).collect();
        let links = self.links();
        let routes = routes()
            .into_iter()
            .filter(|(link, _)| links.contains(link))
            .map(|(link, to)| format!("{to} by {link}"))
            .collect();
        vec![
            Check { what: "processes", left: processes },
            Check { what: "mounts", left: self.mounts() },
            Check { what: "network namespaces", left: namespaces },
            Check { what: "network links", left: links },
            Check { what: "routes", left: routes },
            Check { what: "cgroups", left: self.cgroups().iter().map(|path| path.display().to_string()).collect() },
            Check { what: "firewall rules", left: new_lines(&before.firewall, &firewall()) },
            Check { what: "kernel settings", left: changes(&before.kernel, &kernel_settings()) },
            Check { what: "files in /run", left: self.files_in_run() },
        ]
    }

    fn memory(&self) -> PathBuf {
        self.cache.root().join("machine-before.json")
    }

    /// Nothing remembered in this boot: nothing was started, or what was started has gone.
    fn before(&self) -> Option<Before> {
        let before: Before = serde_json::from_slice(&fs::read(self.memory()).ok()?).ok()?;
        (before.boot == boot()).then_some(before)
    }

    fn is_ours(&self, text: &str) -> bool {
        self.folders.iter().any(|folder| text.contains(&*folder.to_string_lossy()))
    }

    /// Processes started with one of our folders, and processes in our cgroup.
    fn processes(&self) -> Vec<(i32, String)> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let own = Pid::this().as_raw();
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter(|pid| *pid != own)
            .filter_map(|pid| {
                let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                let program = command.split(' ').next().unwrap_or_default();
                let daemons = ["dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy", "runc"];
                let by_name =
                    daemons.contains(&program.rsplit('/').next().unwrap_or_default()) && self.is_ours(&command);
                let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
                let by_cgroup = cgroup.lines().any(|line| line.contains(&format!(":/{}", self.cgroup)));
                (by_name || by_cgroup).then_some((pid, command))
            })
            .collect()
    }

    fn mounts(&self) -> Vec<String> {
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split(' ').nth(4))
            .filter(|mount| self.folders.iter().any(|folder| Path::new(mount).starts_with(folder)))
            .map(str::to_owned)
            .collect()
    }

    /// Bridges of our daemon's networks, and what is plugged into them.
    fn links(&self) -> Vec<String> {
        let networks = self.networks();
        let bridges: BTreeSet<String> = links()
            .into_iter()
            .filter(|link| link.strip_prefix("br-").is_some_and(|id| contains(&networks, id.as_bytes())))
            .collect();
        let ports = links().into_iter().filter(|link| {
            fs::read_link(format!("/sys/class/net/{link}/master"))
                .is_ok_and(|master| master.file_name().is_some_and(|name| bridges.contains(&*name.to_string_lossy())))
        });
        ports.chain(bridges.iter().cloned()).collect()
    }

    /// Docker's own book of networks: a bridge is named after its network's id, so this tells our bridges from another
    /// daemon's, even after ours was killed.
    fn networks(&self) -> Vec<u8> {
        self.folders
            .iter()
            .find_map(|folder| fs::read(folder.join("network/files/local-kv.db")).ok())
            .unwrap_or_default()
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else { return Vec::new() };
        let mut roots: Vec<PathBuf> = hierarchies.flatten().map(|entry| entry.path().join(&self.cgroup)).collect();
        roots.push(Path::new("/sys/fs/cgroup").join(&self.cgroup));
        roots.into_iter().filter(|root| root.is_dir()).flat_map(|root| folders_from(&root)).collect()
    }

    fn files_in_run(&self) -> Vec<String> {
        self.folders
            .iter()
            .filter(|folder| folder.starts_with("/run") && folder.exists())
            .map(|folder| folder.display().to_string())
            .collect()
    }
}

impl Before {
    fn now() -> Self {
        Self { boot: boot(), kernel: kernel_settings(), firewall: firewall() }
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Every systemd, kubelet and containerd of every node takes some of what the machine allows to one user, by default 128. With a few
/// clusters beside each other the next kubelet ends with "`inotify_init`: too many open files".
const INOTIFY_INSTANCES: (&str, u32) = ("fs/inotify/max_user_instances", 8192);

/// What a kubelet sets for the whole machine, from within its node too (`--protect-kernel-defaults` off), and what we set.
const KERNEL_SETTINGS: [&str; 7] = [
    INOTIFY_INSTANCES.0,
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

fn kernel_settings() -> BTreeMap<String, String> {
    KERNEL_SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), kernel_setting(name)?))).collect()
}

fn kernel_setting(name: &str) -> Option<String> {
    Some(fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().to_owned())
}

fn changes(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    now.iter()
        .filter(|(name, value)| before.get(*name).is_some_and(|was| was != *value))
        .map(|(name, value)| format!("{name} is {value} and was {}", before[name]))
        .collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}

fn links() -> BTreeSet<String> {
    fs::read_dir("/sys/class/net")
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default()
}

/// Link and destination of every route, as the kernel lists them.
fn routes() -> Vec<(String, String)> {
    let text = fs::read_to_string("/proc/net/route").unwrap_or_default();
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

/// Rules and chains, without counters and dates.
fn firewall() -> Vec<String> {
    ["iptables-save", "ip6tables-save"]
        .iter()
        .filter_map(|program| Run::new(program).shielded().output().ok())
        .flat_map(|text| rules(&text))
        .collect()
}

fn rules(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with(['-', ':']))
        .map(|line| line.split(" [").next().unwrap_or(line).to_owned())
        // Chains of the kernel itself appear as soon as anybody has looked at their table.
        .filter(|line| !line.starts_with(':') || line.ends_with(" -"))
        .collect()
}

fn new_lines(before: &[String], now: &[String]) -> Vec<String> {
    now.iter().filter(|line| !before.contains(line)).cloned().collect()
}

/// `root` and every folder below it, each after the one that holds it.
fn folders_from(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while next < found.len() {
        if let Ok(entries) = fs::read_dir(&found[next]) {
            found
                .extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink()));
        }
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn counters_and_built_in_chains_are_no_difference() {
        let before = rules("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j X\nCOMMIT\n");
        let after = rules("# later\n*filter\n:INPUT ACCEPT [9:9]\n:DOCKER - [0:0]\n-A INPUT -j X\nCOMMIT\n");
        assert_eq!(new_lines(&before, &after), [":DOCKER -"]);
    }

    #[test]
    fn a_kernel_setting_that_changed_is_told_with_both_values() {
        let settings = |panic: &str| BTreeMap::from([("kernel/panic".to_owned(), panic.to_owned())]);
        assert_eq!(changes(&settings("0"), &settings("10")), ["kernel/panic is 10 and was 0"]);
        assert!(changes(&settings("0"), &settings("0")).is_empty());
    }

    #[test]
    fn a_folder_comes_before_what_it_holds() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        let found = folders_from(root.path());
        assert_eq!(found, [root.path().to_owned(), root.path().join("a"), root.path().join("a/b")]);
    }
}
