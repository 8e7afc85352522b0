//! Where `RabbitMQ` and its Erlang come from, and how both are run away from `/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Launch;
use crate::debian;
use crate::ports::Port;

/// The server and the Erlang libraries it depends on.
const PACKAGES: [&str; 18] = [
    "rabbitmq-server",
    "erlang-asn1",
    "erlang-base",
    "erlang-crypto",
    "erlang-eldap",
    "erlang-ftp",
    "erlang-inets",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-parsetools",
    "erlang-public-key",
    "erlang-runtime-tools",
    "erlang-snmp",
    "erlang-ssl",
    "erlang-syntax-tools",
    "erlang-tftp",
    "erlang-tools",
    "erlang-xmerl",
];

/// The folder under which `RabbitMQ` and Erlang are, installed when they are not.
pub(super) fn rabbitmq() -> Result<PathBuf> {
    debian::unpacked("rabbitmq", &PACKAGES, |folder| {
        // Debian's launcher knows only /usr/lib/erlang; let it find itself.
        let launcher = folder.join("usr/lib/erlang/bin/erl");
        let script = fs::read_to_string(&launcher)?;
        let own = r#"ROOTDIR="$(dirname "$(dirname "$(readlink -f "$0")")")""#;
        fs::write(&launcher, script.replace("ROOTDIR=/usr/lib/erlang", own))?;
        Ok(())
    })
}

/// How to run Erlang's port mapper in the foreground.
pub(super) fn epmd(system: &Path, port: &Port) -> Launch {
    let (system, port) = (system.to_owned(), port.number().to_string());
    Box::new(move |folder| {
        let mut command = erlang(&system, "usr/lib/erlang/bin/epmd", &port, folder);
        command.args(["-port", &port, "-address", "127.0.0.1"]);
        command
    })
}

/// How to run a broker of one node in the foreground; its configuration is in its folder.
pub(super) fn server(system: &Path, mapper: &Port, distribution: &Port) -> Launch {
    let (system, mapper) = (system.to_owned(), mapper.number().to_string());
    let distribution = distribution.number().to_string();
    Box::new(move |folder| {
        let command = erlang(&system, "usr/lib/rabbitmq/bin/rabbitmq-server", &mapper, folder);
        node(command, folder, "rabbit@localhost", &distribution)
    })
}

/// How to run one of several nodes, by the script `start.sh` in `scripts` if given. Host names of nodes have a dot or are addresses.
pub(super) fn member(system: &Path, mapper: &Port, distribution: &Port, name: &str, scripts: Option<&Path>) -> Launch {
    let (system, mapper) = (system.to_owned(), mapper.number().to_string());
    let (name, scripts) = (name.to_owned(), scripts.map(Path::to_owned));
    let distribution = distribution.number().to_string();
    Box::new(move |folder| {
        let mut command = match &scripts {
            None => erlang(&system, "usr/lib/rabbitmq/bin/rabbitmq-server", &mapper, folder),
            Some(scripts) => {
                let mut command = erlang(&system, "/bin/sh", &mapper, folder);
                command.arg(scripts.join("start.sh"));
                command.env("RABBITMQ_ADVANCED_CONFIG_FILE", scripts.join("advanced.config"));
                command
            }
        };
        command.env("RABBITMQ_USE_LONGNAME", "true").env("RABBITMQ_CONFIG_FILES", folder.join("conf.d"));
        node(command, folder, &name, &distribution)
    })
}

/// How to run a program of Erlang beside a node, as the same user.
pub(super) fn beside(system: &Path, program: &str, mapper: &Port, name: &str, home: &Path) -> Command {
    let mut command = erlang(system, program, &mapper.number().to_string(), home);
    command.env("RABBITMQ_NODENAME", name).env("RABBITMQ_USE_LONGNAME", "true");
    command
}

fn node(mut command: Command, folder: &Path, name: &str, distribution: &str) -> Command {
    command
        // Where Erlang leaves what it has to say when it crashes.
        .current_dir(folder)
        .env("RABBITMQ_NODENAME", name)
        .env("RABBITMQ_DIST_PORT", distribution)
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
        .env("RABBITMQ_BASE", folder)
        .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
        .env("RABBITMQ_LOG_BASE", folder)
        .env("RABBITMQ_LOGS", "-")
        // The script then becomes the Erlang machine, instead of a parent that handles signals.
        .env("RUNNING_UNDER_SYSTEMD", "true");
    command
}

fn erlang(system: &Path, program: &str, mapper: &str, home: &Path) -> Command {
    let mut command = Command::new(system.join(program));
    let [erlang, rabbitmq] = ["usr/lib/erlang/bin", "usr/lib/rabbitmq/bin"].map(|folder| system.join(folder));
    command
        .env_clear()
        .env("PATH", format!("{}:{}:/usr/sbin:/usr/bin:/sbin:/bin", erlang.display(), rabbitmq.display()))
        .env("LANG", "C.UTF-8")
        // Erlang keeps its cookie in the home folder.
        .env("HOME", home)
        .env("ERL_EPMD_PORT", mapper)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        // Of every Erlang machine, those of scripts included.
        .env("ERL_AFLAGS", "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false");
    command
}
