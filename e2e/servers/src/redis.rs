//! Redis 7.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::instance::Instance;
use crate::ports::Port;
use crate::process::run;
use crate::shared;

pub(crate) const URL: &str = "CHATPLATFORM_TEST_REDIS_URL";
/// Debian's redis-server is a link to a program of redis-tools; the libraries are those that no
/// essential package brings.
const PACKAGES: [&str; 4] = ["redis-server", "redis-tools", "libjemalloc2", "liblzf1"];
const DATABASES: u32 = 4096;

/// A Redis server. Its data survive a restart (append-only file).
pub struct Redis {
    address: String,
    instance: Option<Instance>,
    _port: Option<Port>,
}

impl Redis {
    /// The server that all tests share, without a password. Use [`Redis::database`] or keys with a
    /// random prefix; channels are common to all databases.
    ///
    /// # Panics
    /// When the server does not start.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Redis> = OnceLock::new();
        shared::get_or_start(&SERVER, || match shared::announced(URL) {
            Some(url) => Ok(Self::announced(&url)),
            None => Self::start(),
        })
    }

    /// A server of one's own, without a password.
    pub fn start() -> Result<Self> {
        Self::launch(None, None)
    }

    /// A server of one's own with users: `acl` is the content of its ACL file, one `user ...` a line.
    pub fn start_with_users(acl: &str) -> Result<Self> {
        Self::launch(Some(acl), None)
    }

    /// The same, reached by TLS alone: certificate and key in PEM.
    pub fn start_with_tls(acl: &str, certificate: &str, key: &str) -> Result<Self> {
        Self::launch(Some(acl), Some((certificate, key)))
    }

    /// URL of database 0, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// URL of database 0, with the credentials of a user. Neither may hold characters that a URL
    /// must escape.
    #[must_use]
    pub fn url_for(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@{}/", self.address)
    }

    /// URL of a database that nobody has used before.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn database(&self) -> String {
        let number = command(&self.address, &["INCR", "chatplatform:test:databases"])
            .and_then(|answer| answer.strip_prefix(':').context("not a number")?.parse::<u32>().map_err(Into::into));
        match number {
            Ok(number) if number < DATABASES => format!("redis://{}/{number}", self.address),
            Ok(_) => panic!("all {DATABASES} databases of Redis are used"),
            Err(error) => panic!("Redis gave no database: {error:#}"),
        }
    }

    /// `host:port`
    #[must_use]
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Ends the server in order (SIGTERM), and waits until it has ended.
    pub fn stop(&mut self) -> Result<()> {
        self.instance.as_mut().map_or(Ok(()), Instance::stop)
    }

    /// Ends the server as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(instance) = &mut self.instance {
            instance.kill();
        }
    }

    /// Starts the server again on the same port and data.
    pub fn restart(&mut self) -> Result<()> {
        self.instance.as_mut().map_or(Ok(()), Instance::restart)
    }

    fn announced(url: &str) -> Self {
        let address = url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
        Self { address, instance: None, _port: None }
    }

    fn launch(acl: Option<&str>, tls: Option<(&str, &str)>) -> Result<Self> {
        let system = system()?;
        let port = Port::reserve()?;
        let number = port.number().to_string();
        let is_tls = tls.is_some();
        let program = system.clone();
        let start = move |folder: &Path| {
            let mut command = Command::new(system.join("usr/bin/redis-server"));
            with_programs(&mut command, &system);
            if is_tls {
                command.args(["--port", "0", "--tls-port", &number, "--tls-auth-clients", "no"]);
                command.arg("--tls-cert-file").arg(folder.join("tls.crt"));
                command.arg("--tls-key-file").arg(folder.join("tls.key"));
            } else {
                command.args(["--port", &number]);
            }
            command
                .args(["--bind", "127.0.0.1", "--databases", &DATABASES.to_string()])
                .args(["--save", "", "--appendonly", "yes", "--dir"])
                .arg(folder);
            if folder.join("users.acl").exists() {
                command.arg("--aclfile").arg(folder.join("users.acl"));
            }
            command
        };
        let address = port.address();
        let ready = {
            let address = address.clone();
            move || if is_tls { answers_by_tls(&program, &address) } else { answers(&address) }
        };
        let mut instance = Instance::new("redis-server", start, ready)?;
        if let Some(acl) = acl {
            fs::write(instance.folder().join("users.acl"), acl)?;
        }
        if let Some((certificate, key)) = tls {
            fs::write(instance.folder().join("tls.crt"), certificate)?;
            fs::write(instance.folder().join("tls.key"), key)?;
        }
        instance.start()?;
        Ok(Self { address, instance: Some(instance), _port: Some(port) })
    }
}

/// The folder of the programs.
pub(crate) fn system() -> Result<PathBuf> {
    debian::unpacked("redis", &PACKAGES, |_| Ok(()))
}

/// Lets a command find the programs and their libraries.
pub(crate) fn with_programs(command: &mut Command, system: &Path) {
    let mut folders = vec![system.join("usr/bin")];
    folders.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    if let Ok(path) = env::join_paths(folders) {
        command.env("PATH", path);
    }
    command.env("LD_LIBRARY_PATH", system.join("usr/lib/x86_64-linux-gnu"));
}

/// Whether a server or sentinel does its work.
pub(crate) fn answers(address: &str) -> Result<()> {
    match command(address, &["PING"])?.as_str() {
        "+PONG" => Ok(()),
        // With an ACL file, the default user may be off; the server answers all the same.
        refusal if refusal.starts_with("-NOAUTH") || refusal.starts_with("-NOPERM") => Ok(()),
        other => bail!("{other}"),
    }
}

fn answers_by_tls(system: &Path, address: &str) -> Result<()> {
    let (_, port) = address.rsplit_once(':').context("the address has no port")?;
    let mut command = Command::new("redis-cli");
    with_programs(&mut command, system);
    // Any answer will do; without one, this fails.
    run(command.args(["--tls", "--insecure", "-p", port, "ping"])).map(drop)
}

/// Runs one command; answers the first line of the reply as the protocol (RESP2) has it.
fn command(address: &str, words: &[&str]) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "*{}\r\n", words.len())?;
    for word in words {
        write!(stream, "${}\r\n{word}\r\n", word.len())?;
    }
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
