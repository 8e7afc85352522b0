//! Ports that stay ours while a server restarts.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

use crate::cache::cache_folder;

/// Below the ports that the kernel gives to outgoing connections (32768 and up on Linux): nobody
/// takes one by chance while its server is down.
const FIRST: u16 = 12_000;
const COUNT: u16 = 16_000;

/// A port of 127.0.0.1, reserved for as long as this value lives.
pub(crate) struct Port {
    number: u16,
    _reservation: File,
}

impl Port {
    /// Reserves a port that nobody listens at. Other test processes see the reservation.
    pub(crate) fn reserve() -> Result<Self> {
        let reservations = cache_folder()?.join("ports");
        fs::create_dir_all(&reservations)?;
        for _ in 0..1000 {
            let number = FIRST + rand::random::<u16>() % COUNT;
            let reservation = File::create(reservations.join(number.to_string()))?;
            match reservation.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error).context("cannot reserve a port"),
            }
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _reservation: reservation });
            }
        }
        anyhow::bail!("no free port between {FIRST} and {}", FIRST + COUNT)
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:port`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_that_are_held_differ_and_are_free() {
        let ports: Vec<Port> = (0..50).map(|_| Port::reserve().unwrap()).collect();
        let numbers: BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), ports.len());
        assert!(ports.iter().all(|port| TcpListener::bind(port.address()).is_ok()));
    }
}
