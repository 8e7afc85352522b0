//! Nginx, as a container of the platform runs it: by the script and the configuration that the operator writes.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::{env, iter};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::debian;
use crate::ports::Port;
use crate::process::Process;
use crate::program::Program;

const PACKAGES: [&str; 3] = ["nginx", "libpcre2-8-0", "libssl3"];
/// What starts it, among the files.
const SCRIPT: &str = "serve.sh";

/// The ports that a configuration listens at.
pub struct Listens<'a> {
    /// For clients, by plain http.
    pub clients: u16,
    /// For probes.
    pub probes: u16,
    /// The rest.
    pub others: &'a [u16],
}

impl Program {
    /// Starts Nginx with `files`, in which ports and folders of this machine take the places of those of a container. What it prints is
    /// kept in `folder`.
    pub fn start_nginx(
        name: &'static str,
        folder: &Path,
        files: &BTreeMap<String, String>,
        listens: &Listens<'_>,
    ) -> Result<Self> {
        // Workers of a master that is root are not, and look for files in there.
        let own = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir()?;
        let path = |name: &str| format!("{}/{name}", own.path().display());
        fs::create_dir(path("tmp"))?;
        fs::create_dir(path("files"))?;
        let numbers: Vec<u16> = [listens.clients, listens.probes].iter().chain(listens.others).copied().collect();
        let ports = iter::repeat_with(Port::reserve).take(numbers.len()).collect::<Result<Vec<_>>>()?;
        for (file, text) in files {
            let text = text.replace("/tmp/", &path("tmp/")).replace("/etc/nginx-config", &path("files"));
            let text = numbers.iter().zip(&ports).fold(text, |text, (number, port)| listening(&text, *number, port));
            fs::write(path("files/") + file, text)?;
        }
        let mut command = Command::new("sh");
        command.arg(path("files/") + SCRIPT);
        with_nginx(&mut command)?;
        let process = Process::start(name, folder, command)?;
        Self::of(process, ports, own)
    }

    fn of(process: Process, ports: Vec<Port>, files: TempDir) -> Result<Self> {
        let mut ports = ports.into_iter();
        let listen = ports.next().context("no port for clients")?;
        let admin = ports.next().context("no port for probes")?;
        Ok(Self::with_files(process, listen, admin, ports.collect(), files))
    }
}

fn listening(text: &str, number: u16, port: &Port) -> String {
    let with = |end: &str| (format!("listen {number}{end}"), format!("listen {}{end}", port.address()));
    [with(";"), with(" ")].into_iter().fold(text.to_owned(), |text, (before, after)| text.replace(&before, &after))
}

/// Lets a command find the program and its libraries.
fn with_nginx(command: &mut Command) -> Result<()> {
    let system = debian::unpacked("nginx", &PACKAGES, |_| Ok(()))?;
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = iter::once(system.join("usr/sbin")).chain(env::split_paths(&path));
    command.env("PATH", env::join_paths(folders)?);
    command.env("LD_LIBRARY_PATH", system.join("usr/lib/x86_64-linux-gnu"));
    Ok(())
}
