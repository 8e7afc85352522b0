//! Ports of this machine that lead into a cluster.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result, anyhow};

/// Where `cargo e2e up` puts the edge.
pub const DEFAULT_EDGE_PORT: u16 = 8443;

/// The ports of one cluster, on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Leads to the platform's edge.
    pub edge: u16,
}

impl Ports {
    /// Ports that nobody uses now.
    pub fn free() -> Result<Self> {
        Ok(Self { edge: free_port()? })
    }

    /// An error that names who holds a port, if anybody does.
    pub fn check(self) -> Result<()> {
        if TcpListener::bind((Ipv4Addr::LOCALHOST, self.edge)).is_ok() {
            return Ok(());
        }
        let holder = holder_of(self.edge).map(|name| format!(" by {name}")).unwrap_or_default();
        Err(anyhow!(
            "port {} on 127.0.0.1 is taken{holder}: end that, or choose another with `cargo e2e up --port PORT`",
            self.edge
        ))
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self { edge: DEFAULT_EDGE_PORT }
    }
}

/// A port of 127.0.0.1 that nobody uses now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Name and number of the process that listens on `port`, where this user may see it.
#[must_use]
pub fn holder_of(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| listening_inode(&fs::read_to_string(table).ok()?, port))?;
    let socket = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        // Beside the numbers there is `self`, which is nobody's name.
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let holds = fs::read_dir(process.path().join("fd"))
            .ok()?
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.to_string_lossy() == socket));
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        holds.then(|| format!("{} (process {pid})", name.trim()))
    })
}

/// proc(5), `/proc/net/tcp`: the second field is address:port in hexadecimal, the fourth the state (0A listens), the tenth the inode.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, found) = fields.get(1)?.rsplit_once(':')?;
        let listens = *fields.get(3)? == "0A" && u16::from_str_radix(found, 16).ok()? == port;
        listens.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_taken_port_is_refused_and_its_holder_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = Ports { edge: port }.check().unwrap_err().to_string();
        assert!(error.contains(&format!("port {port}")), "{error}");
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    }

    #[test]
    fn a_free_port_can_be_taken() {
        Ports::free().unwrap().check().unwrap();
    }

    #[test]
    fn a_connection_on_the_same_port_is_not_a_listener() {
        let table = "  sl  local_address rem_address st\n   0: 0100007F:20FB 0100007F:1234 01 0:0 0:0 0 0 0 77\n   1: 0100007F:20FB 00000000:0000 0A 0:0 0:0 0 0 0 88\n";
        assert_eq!(listening_inode(table, 8443), Some("88".to_owned()));
        assert_eq!(listening_inode(table, 8444), None);
    }
}
